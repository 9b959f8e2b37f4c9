// The action, 1 clock later: a random one with chance epsilon / 65536, else the greedy one.
module epsilon_greedy #(
    parameter int ACTIONS = 4,
    parameter int ACTION_BITS = 2
) (
    input  logic                   clk,
    input  logic [16:0]            epsilon,
    input  logic [31:0]            word,
    input  logic [ACTION_BITS-1:0] greedy,
    output logic [ACTION_BITS-1:0] action
);
  logic [ACTION_BITS-1:0] random;
  scale #(.COUNT(ACTIONS), .BITS(ACTION_BITS)) any_action (.word(word[31:16]), .number(random));

  logic explore;
  assign explore = {1'b0, word[15:0]} < epsilon;

  always_ff @(posedge clk) action <= explore ? random : greedy;
endmodule
