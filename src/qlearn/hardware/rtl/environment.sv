// The world as a table: where an action leads, what it earns, and whether it ends the episode.
//
// A line of the table holds all OUTCOMES of a state and an action, and the thresholds that the random
// word is compared with to tell which of them happens. Clocks: memory | its output register |
// choice. An ended episode goes on at a start state, drawn by the other half of the same word.
//
// A slot that neither learns (`step`) nor is put on a start (`restart`) keeps its state.
module environment #(
    parameter int WIDTH = 16,
    parameter int STATE_BITS = 5,
    parameter int ACTION_BITS = 2,
    parameter int OUTCOMES = 1,
    parameter int STARTS = 1,
    parameter int START_BITS = 1,
    parameter ENVIRONMENT_FILE = "environment.hex",
    parameter STARTS_FILE = "starts.hex"
) (
    input  logic                         clk,
    input  logic                         load_seed,
    input  logic        [31:0]           seed,
    input  logic                         step,
    input  logic                         restart,
    input  logic        [STATE_BITS-1:0] state,
    input  logic        [ACTION_BITS-1:0] action,
    output logic        [STATE_BITS-1:0] next,
    output logic signed [WIDTH-1:0]      reward,
    output logic                         ended
);
  typedef struct packed {
    logic                  ended;
    logic [WIDTH-1:0]      reward;
    logic [STATE_BITS-1:0] next;
  } outcome_t;

  localparam int OUTCOME_WIDTH = 1 + WIDTH + STATE_BITS;
  localparam int LINE_WIDTH = OUTCOMES * OUTCOME_WIDTH + (OUTCOMES - 1) * 17;
  localparam int LINES = 1 << (STATE_BITS + ACTION_BITS);

  logic [LINE_WIDTH-1:0] lines[0:LINES-1];
  logic [STATE_BITS-1:0] starts[0:STARTS-1];
  initial $readmemh(ENVIRONMENT_FILE, lines);
  initial $readmemh(STARTS_FILE, starts);

  // Clocks 1 and 2: the line of this state and action, and the start if one is needed.
  logic [LINE_WIDTH-1:0] read, line;
  logic [31:0] word;
  logic [15:0] luck_1, luck_2;
  logic [START_BITS-1:0] number, start_number;
  logic [STATE_BITS-1:0] start;

  xorshift32 stream (.clk, .load(load_seed), .seed, .advance(step | restart), .word);
  scale #(.COUNT(STARTS), .BITS(START_BITS)) any_start (.word(word[31:16]), .number);

  always_ff @(posedge clk) begin
    read         <= lines[{state, action}];
    start_number <= number;
    luck_1       <= word[15:0];
    line         <= read;
    start        <= starts[start_number];
    luck_2       <= luck_1;
  end

  logic stepped, restarted;
  logic [STATE_BITS-1:0] state_2;
  delay #(.WIDTH(2 + STATE_BITS), .STAGES(2)) of_slot (
      .clk, .value({step, restart, state}), .delayed({stepped, restarted, state_2}));

  // Clock 3: which outcome, and where it leaves the agent. All destinations are ready when the
  // comparisons are: they do not wait for each other.
  outcome_t [OUTCOMES-1:0] outcome;
  logic [OUTCOMES-1:0][STATE_BITS-1:0] destination;
  logic [OUTCOMES-1:0] happens;

  for (genvar k = 0; k < OUTCOMES; k++) begin : possible
    assign outcome[k] = line[k*OUTCOME_WIDTH+:OUTCOME_WIDTH];
    always_comb begin
      destination[k] = state_2;
      if (stepped) destination[k] = outcome[k].next;
      if (restarted || (stepped && outcome[k].ended)) destination[k] = start;
    end
    if (k < OUTCOMES - 1) begin : below
      assign happens[k] = {1'b0, luck_2} < line[OUTCOMES*OUTCOME_WIDTH+17*k+:17];
    end else begin : otherwise
      assign happens[k] = 1'b1;
    end
  end

  outcome_t chosen;
  logic [STATE_BITS-1:0] arrived;
  always_comb begin
    chosen  = outcome[OUTCOMES-1];
    arrived = destination[OUTCOMES-1];
    for (int k = OUTCOMES - 2; k >= 0; k--) begin
      if (happens[k]) begin
        chosen  = outcome[k];
        arrived = destination[k];
      end
    end
  end

  always_ff @(posedge clk) begin
    next   <= arrived;
    reward <= chosen.reward;
    ended  <= chosen.ended;
  end

  logic unused;
  assign unused = &{luck_2, happens, chosen.next};
endmodule
