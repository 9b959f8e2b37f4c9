// A coefficient times a Q value: exact, 1 clock up to 18 bits of value, 2 clocks above.
//
// The multipliers of the chip take 18 signed bits a side. A wider value is cut in two, and the
// halves' products are put together one clock later.
module product #(
    parameter int WIDTH = 16
) (
    input  logic                     clk,
    input  logic signed [17:0]       coefficient,
    input  logic signed [WIDTH-1:0]  value,
    output logic signed [WIDTH+17:0] result
);
  localparam int LOW = 17;

  if (WIDTH <= 18) begin : whole
    always_ff @(posedge clk) result <= (WIDTH + 18)'(coefficient * value);
  end else begin : halves
    logic signed [LOW:0]       low;
    logic signed [WIDTH-LOW-1:0] high;
    logic signed [35:0]        low_result;
    logic signed [WIDTH+17-LOW:0] high_result;
    assign low  = $signed({1'b0, value[LOW-1:0]});
    assign high = value[WIDTH-1:LOW];
    always_ff @(posedge clk) begin
      low_result  <= coefficient * low;
      high_result <= (WIDTH + 18 - LOW)'(coefficient * high);
      result      <= (WIDTH + 18)'(low_result) + {high_result, {LOW{1'b0}}};
    end
  end
endmodule
