// The update of Q-learning (Watkins, 1989):
//
//   q_new = saturate(round((1 - alpha) q + alpha r + alpha gamma max Q(s', .)))
//
// with one rounding and one saturation, at the very end. Clocks: products (3, or 4 above 18
// bits) | sum | round and saturate.
//
// The coefficients 0 .. 2^17 are fractions of 2^17, and 2^17 itself does not fit into the 18 signed
// bits of a multiplier, but -2^17 does. So the coefficients stand here negated, and the last
// clock, which adds the rounding anyway, subtracts the sum instead of adding it.
module q_update_unit #(
    parameter int WIDTH    = 16,
    parameter int ROUNDING = 0    // 0 half up, 1 to even, 2 down, 3 stochastic
) (
    input  logic                    clk,
    input  logic                    rst,
    input  logic        [17:0]      alpha,
    input  logic        [17:0]      one_minus_alpha,
    input  logic        [17:0]      alpha_gamma,
    input  logic signed [WIDTH-1:0] q,
    input  logic signed [WIDTH-1:0] reward,
    input  logic signed [WIDTH-1:0] largest_next,
    input  logic                    ended,
    input  logic        [16:0]      chance,           // for the last clock; stochastic rounding only
    output logic signed [WIDTH-1:0] q_new
);
  localparam int PRODUCT_STAGES = WIDTH > 18 ? 4 : 3;
  localparam int SUM_WIDTH = WIDTH + 20;

  // Every unit has registers of its own for the coefficients: one set for all rings would be a
  // wire across the whole chip in front of a multiplier. The reset keeps the sets apart.
  logic signed [17:0] minus_kept, minus_alpha, minus_alpha_gamma;
  always_ff @(posedge clk) begin
    minus_kept        <= rst ? '0 : -one_minus_alpha;
    minus_alpha       <= rst ? '0 : -alpha;
    minus_alpha_gamma <= rst ? '0 : -alpha_gamma;
  end

  logic signed [WIDTH+17:0] kept, rewarded, expected;
  product #(.WIDTH(WIDTH)) of_kept     (.clk, .coefficient(minus_kept),        .value(q),            .result(kept));
  product #(.WIDTH(WIDTH)) of_reward   (.clk, .coefficient(minus_alpha),       .value(reward),       .result(rewarded));
  product #(.WIDTH(WIDTH)) of_expected (.clk, .coefficient(minus_alpha_gamma), .value(largest_next), .result(expected));

  logic over;
  delay #(.WIDTH(1), .STAGES(PRODUCT_STAGES)) of_ended (.clk, .value(ended), .delayed(over));

  logic signed [SUM_WIDTH-1:0] minus_sum;
  always_ff @(posedge clk) begin
    minus_sum <= SUM_WIDTH'(kept) + SUM_WIDTH'(rewarded) + (over ? '0 : SUM_WIDTH'(expected));
  end

  rounding #(.WIDTH(WIDTH), .SUM_WIDTH(SUM_WIDTH), .ROUNDING(ROUNDING)) last (
      .clk, .minus_sum, .chance, .q_new);
endmodule

// The last clock of an update: a negated sum of products becomes a word.
//
// Rounding adds something below one unit and cuts the fraction off; then what does not fit is the
// largest or the smallest word.
// verilator lint_off DECLFILENAME
module rounding #(
    parameter int WIDTH     = 16,
    parameter int SUM_WIDTH = 36,
    parameter int ROUNDING  = 0
) (
    input  logic                        clk,
    input  logic signed [SUM_WIDTH-1:0] minus_sum,
    input  logic        [16:0]          chance,
    output logic signed [WIDTH-1:0]     q_new
);
  localparam int CF = 17;
  localparam logic [CF-1:0] HALF = 1 << (CF - 1);
  logic        [CF-1:0]        addend;
  logic signed [SUM_WIDTH-1:0] raised;
  logic signed [SUM_WIDTH-CF-1:0] rounded;
  logic tie, fits;

  always_comb begin
    case (ROUNDING)
      0, 1:    addend = HALF;
      2:       addend = '0;
      default: addend = chance;
    endcase
    raised  = $signed({{(SUM_WIDTH - CF) {1'b0}}, addend}) - minus_sum;
    rounded = raised[SUM_WIDTH-1:CF];
    // Half up and to even differ in the last bit of a tie.
    tie = ROUNDING == 1 && minus_sum[CF-1:0] == HALF;
    if (tie) rounded[0] = 1'b0;
    fits = rounded[SUM_WIDTH-CF-1:WIDTH-1] == '0 || rounded[SUM_WIDTH-CF-1:WIDTH-1] == '1;
  end

  logic unused;
  assign unused = ^raised[CF-1:0];

  always_ff @(posedge clk) begin
    if (fits) q_new <= rounded[WIDTH-1:0];
    else q_new <= {rounded[SUM_WIDTH-CF-1], {(WIDTH - 1) {~rounded[SUM_WIDTH-CF-1]}}};
  end
endmodule
// verilator lint_on DECLFILENAME
