// A coefficient times a Q value: exact, 3 clocks up to 18 bits of value, 4 clocks above.
//
// A multiplier takes most of a clock, and lies where the chip has it. So there are registers before
// and behind it that do nothing else: the wires to it and from it have clocks of their own.
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

  logic signed [WIDTH-1:0] entered;
  always_ff @(posedge clk) entered <= value;

  if (WIDTH <= 18) begin : whole
    logic signed [WIDTH+17:0] multiplied;
    always_ff @(posedge clk) begin
      multiplied <= (WIDTH + 18)'(coefficient * entered);
      result     <= multiplied;
    end
  end else begin : halves
    logic signed [LOW:0]          low;
    logic signed [WIDTH-LOW-1:0]  high;
    logic signed [35:0]           low_multiplied, low_result;
    logic signed [WIDTH+17-LOW:0] high_multiplied, high_result;
    assign low  = $signed({1'b0, entered[LOW-1:0]});
    assign high = entered[WIDTH-1:LOW];
    always_ff @(posedge clk) begin
      low_multiplied  <= coefficient * low;
      high_multiplied <= (WIDTH + 18 - LOW)'(coefficient * high);
      low_result      <= low_multiplied;
      high_result     <= high_multiplied;
      result          <= (WIDTH + 18)'(low_result) + {high_result, {LOW{1'b0}}};
    end
  end
endmodule
