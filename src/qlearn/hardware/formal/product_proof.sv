// A product is exact. Of a wide word, which is multiplied in two halves: the halves are the word, and
// putting their products together loses no bit.
//
// The multiplications of the circuit are as good as the chip's; what is shown is what is made of
// them, so they stand here for any numbers of their size (`cutpoint`).
module product_proof #(
    parameter int WIDTH = 32
) (
    input logic                    clk,
    input logic signed [17:0]      coefficient,
    input logic signed [WIDTH-1:0] value
);
  typedef logic signed [WIDTH+31:0] exact_t;

  logic signed [WIDTH+17:0] result;
  product #(.WIDTH(WIDTH)) dut (.clk, .coefficient, .value, .result);

  logic signed [WIDTH-1:0] value_before;
  exact_t both, limit_of_low, limit_of_high;
  assign limit_of_low  = exact_t'(1) <<< 34;           // |c| <= 2^17, low < 2^17
  assign limit_of_high = exact_t'(1) <<< (WIDTH - 1);  // |high| <= 2^(WIDTH - 18)
  always_ff @(posedge clk) begin
    value_before <= value;
    both <= exact_t'(dut.halves.low_result) + (exact_t'(dut.halves.high_result) <<< 17);
  end

  logic [1:0] clocks = '0;
  always_ff @(posedge clk) if (clocks < 2) clocks <= clocks + 1'b1;

  always_comb begin
    if (clocks > 0) assert (dut.entered == value_before);
    assert (exact_t'(dut.entered) == exact_t'(dut.halves.low) + (exact_t'(dut.halves.high) <<< 17));
    assert (dut.halves.low >= 0);
    assume (dut.halves.low_result <= limit_of_low && dut.halves.low_result >= -limit_of_low);
    assume (dut.halves.high_result <= limit_of_high && dut.halves.high_result >= -limit_of_high);
    if (clocks == 2) assert (exact_t'(result) == both);
  end
endmodule
