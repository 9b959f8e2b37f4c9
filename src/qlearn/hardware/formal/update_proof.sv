// Saturation never wraps, and rounding is what it says: the update unit is Watkins' rule computed
// with more digits than it can ever need, for every input and every coefficient 0 .. 2^17.
//
// Products of two unknowns are what solvers cannot do. So the multiplications stand here for any
// numbers of their size (`cutpoint`), which proves more; that their factors are -c, whole, and the
// words, and that (-c) v = -(c v), makes the rest. product_proof.sv has what is special of wide words.
module update_proof #(
    parameter int WIDTH = 16
) (
    input logic                    clk,
    input logic        [17:0]      alpha,
    input logic        [17:0]      one_minus_alpha,
    input logic        [17:0]      alpha_gamma,
    input logic signed [WIDTH-1:0] q,
    input logic signed [WIDTH-1:0] reward,
    input logic signed [WIDTH-1:0] largest_next,
    input logic                    ended,
    input logic        [16:0]      chance
);
  for (genvar rounding = 0; rounding < 4; rounding++) begin : every_rounding
    update_check #(.WIDTH(WIDTH), .ROUNDING(rounding)) check (
        .clk, .alpha, .one_minus_alpha, .alpha_gamma, .q, .reward, .largest_next, .ended, .chance);
  end
endmodule

module update_check #(
    parameter int WIDTH = 16,
    parameter int ROUNDING = 0
) (
    input logic                    clk,
    input logic        [17:0]      alpha,
    input logic        [17:0]      one_minus_alpha,
    input logic        [17:0]      alpha_gamma,
    input logic signed [WIDTH-1:0] q,
    input logic signed [WIDTH-1:0] reward,
    input logic signed [WIDTH-1:0] largest_next,
    input logic                    ended,
    input logic        [16:0]      chance
);
  localparam int STAGES = WIDTH > 18 ? 6 : 5;
  localparam int ONE = 131072, HALF = 65536;
  typedef logic signed [WIDTH+31:0] exact_t;
  localparam exact_t HIGHEST = exact_t'(1) <<< (WIDTH - 1);

  logic signed [WIDTH-1:0] q_new;
  q_update_unit #(.WIDTH(WIDTH), .ROUNDING(ROUNDING)) unit (
      .clk, .rst(1'b0), .alpha, .one_minus_alpha, .alpha_gamma, .q, .reward, .largest_next, .ended,
      .chance, .q_new);

  // The registers that multiply hold -c, whole: nothing is lost to the sign, not even of 2^17.
  logic signed [18:0] before_alpha, before_kept, before_alpha_gamma;
  always_ff @(posedge clk) begin
    before_alpha       <= $signed({1'b0, alpha});
    before_kept        <= $signed({1'b0, one_minus_alpha});
    before_alpha_gamma <= $signed({1'b0, alpha_gamma});
  end

  // The sum, exactly: the products of one clock, and what entered with them.
  logic over;
  delay #(.WIDTH(1), .STAGES(STAGES - 1)) of_ended (.clk, .value(ended), .delayed(over));
  exact_t products, products_without_next, minus_sum;
  always_ff @(posedge clk) begin
    products_without_next <= exact_t'(unit.kept) + exact_t'(unit.rewarded);
    products <= exact_t'(unit.kept) + exact_t'(unit.rewarded) + exact_t'(unit.expected);
  end
  assign minus_sum = over ? products_without_next : products;

  // Its rounding and its saturation.
  exact_t sum, below, rounded, wanted;
  logic [16:0] rest, luck;
  always_ff @(posedge clk) begin
    sum  <= -exact_t'(unit.minus_sum);
    luck <= chance;
  end
  always_comb begin
    below = sum >>> 17;
    rest  = sum[16:0];
    case (ROUNDING)
      0:       rounded = rest >= HALF ? below + 1 : below;
      1:       rounded = rest > HALF || (rest == HALF && below[0]) ? below + 1 : below;
      2:       rounded = below;
      default: rounded = 18'(rest) + 18'(luck) >= ONE ? below + 1 : below;
    endcase
    wanted = rounded;
    if (rounded >= HIGHEST) wanted = HIGHEST - 1;
    if (rounded < -HIGHEST) wanted = -HIGHEST;
  end

  logic [2:0] clocks = '0;
  always_ff @(posedge clk) if (clocks < STAGES) clocks <= clocks + 1'b1;

  always_comb begin
    assume (alpha <= ONE && one_minus_alpha <= ONE && alpha_gamma <= ONE);
    if (clocks > 0) begin
      assert (19'(unit.minus_alpha) == -before_alpha);
      assert (19'(unit.minus_kept) == -before_kept);
      assert (19'(unit.minus_alpha_gamma) == -before_alpha_gamma);
    end
    if (clocks >= STAGES - 1) assert (exact_t'(unit.minus_sum) == minus_sum);
    if (clocks == STAGES) assert (exact_t'(q_new) == wanted);
  end
endmodule
