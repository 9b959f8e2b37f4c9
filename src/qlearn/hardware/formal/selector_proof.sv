// The selector gives the largest of N signed values and the lowest index it stands at, for every N
// up to 6 and for as many actions as the design has.
module selector_proof #(
    parameter int WIDTH   = 16,
    parameter int ACTIONS = 4
) (
    input logic                       clk,
    input logic [15:0][WIDTH-1:0] values
);
  for (genvar n = 1; n <= 7; n++) begin : of_every_size
    localparam int N = n < 7 ? n : ACTIONS;
    selector_check #(.N(N), .WIDTH(WIDTH)) check (.clk, .values(values[N-1:0]));
  end
endmodule

module selector_check #(
    parameter int N     = 4,
    parameter int WIDTH = 16
) (
    input logic                    clk,
    input logic [N-1:0][WIDTH-1:0] values
);
  localparam int LEVELS = N > 1 ? $clog2(N) : 1;

  logic signed [WIDTH-1:0] largest;
  logic [LEVELS-1:0] index;
  max_selector #(.N(N), .WIDTH(WIDTH)) dut (.clk, .values, .largest, .index);

  logic [N-1:0][WIDTH-1:0] entered;
  delay #(.WIDTH(N * WIDTH), .STAGES(LEVELS)) of_values (.clk, .value(values), .delayed(entered));

  // One after the other, as the specification does.
  logic [LEVELS-1:0] wanted;
  always_comb begin
    wanted = '0;
    for (int i = 1; i < N; i++) begin
      if ($signed(entered[i]) > $signed(entered[wanted])) wanted = LEVELS'(i);
    end
  end

  logic [3:0] clocks = '0;
  always_ff @(posedge clk) if (clocks < LEVELS) clocks <= clocks + 1'b1;

  always_comb begin
    if (clocks == LEVELS) begin
      assert (index == wanted);
      assert (largest == entered[wanted]);
    end
  end
endmodule
