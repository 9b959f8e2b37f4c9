// Epsilon 0 never explores, 65536 always does, and in between exactly `epsilon` words of 65536 do. A
// random action is one that exists.
module epsilon_proof #(
    parameter int ACTIONS     = 4,
    parameter int ACTION_BITS = 2
) (
    input logic                   clk,
    input logic [16:0]            epsilon,
    input logic [31:0]            word,
    input logic [ACTION_BITS-1:0] greedy
);
  logic [ACTION_BITS-1:0] action;
  epsilon_greedy #(.ACTIONS(ACTIONS), .ACTION_BITS(ACTION_BITS)) dut (
      .clk, .epsilon, .word, .greedy, .action);

  logic [16:0] chance;
  logic [15:0] lot;
  logic [ACTION_BITS-1:0] best;
  logic [31:0] random;
  logic began = 1'b0;
  always_ff @(posedge clk) begin
    chance <= epsilon;
    lot    <= word[15:0];
    best   <= greedy;
    random <= (32'(word[31:16]) * ACTIONS) >> 16;
    began  <= 1'b1;
  end

  always_comb begin
    assume (32'(greedy) < ACTIONS);
    if (began) begin
      if (chance == 0) assert (action == best);
      if (chance == 65536) assert (32'(action) == random);
      assert (32'(action) == (lot < chance ? random : 32'(best)));
      assert (32'(action) < ACTIONS);
    end
  end
endmodule
