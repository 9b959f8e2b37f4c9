// One agent, one step of its update after the other: small, slow, and easy to follow.
//
//   restart -> look -> choose -> act -> look ahead -> multiply -> round -> write -> look ...
//
// Its memory gives one Q value a clock and its sums are made a bit of a coefficient at a time, so it
// needs no multiplier and one block RAM. It learns exactly what a ring of a single agent
// would, with the streams of ring 0; alpha, gamma, epsilon and seed are the package's.
module agent_fsm
  import ql_parameters::*;
(
    input  logic                   clk,
    input  logic                   rst,
    input  logic                   run,
    output logic                   trace_valid,
    output logic [STATE_BITS-1:0]  trace_state,
    output logic [ACTION_BITS-1:0] trace_action,
    output logic [WIDTH-1:0]       trace_reward,
    output logic [STATE_BITS-1:0]  trace_next,
    output logic                   trace_ended,
    output logic [WIDTH-1:0]       trace_q
);
  localparam int SUM_WIDTH = WIDTH + 20;
  localparam int COEFFICIENT_BITS = CF + 1;
  localparam int CELLS = 1 << (STATE_BITS + ACTION_BITS);

  localparam logic [35:0] AG = ({18'b0, ALPHA} * {18'b0, GAMMA} + 36'd65536) >> CF;
  localparam logic [17:0] ALPHA_GAMMA = AG[17:0];
  localparam logic [17:0] ONE_MINUS_ALPHA = 18'd131072 - ALPHA;

  typedef logic [STATE_BITS-1:0] state_t;
  typedef logic [ACTION_BITS-1:0] action_t;
  typedef logic signed [WIDTH-1:0] q_t;

  typedef enum logic [3:0] {
    SEED_STREAMS,  // the streams need some clocks before their first word is ready
    RESTART,       // the world draws a start
    LOOK,          // all Q values of the state, one a clock; the best action
    CHOOSE,        // that one, or any
    ACT,           // the world answers
    LOOK_AHEAD,    // all Q values of the next state; the largest
    MULTIPLY,      // the three products, a bit of a coefficient a clock
    ROUND,
    WRITE
  } phase_t;

  localparam int COUNT_BITS = 6;  // enough for every phase's clocks
  localparam logic [COUNT_BITS-1:0] SEEDING = 4, WORLD = 4, CHOOSING = 1;
  localparam logic [COUNT_BITS-1:0] LOOKING = COUNT_BITS'(ACTIONS) + 1;  // memory and comparison
  localparam logic [COUNT_BITS-1:0] MULTIPLYING = COUNT_BITS'(3 * COEFFICIENT_BITS);

  phase_t phase, following;
  logic [COUNT_BITS-1:0] count, clocks;
  logic begins, over;

  always_comb begin
    case (phase)
      SEED_STREAMS: {clocks, following} = {SEEDING, RESTART};
      RESTART:      {clocks, following} = {WORLD, LOOK};
      LOOK:         {clocks, following} = {LOOKING, CHOOSE};
      CHOOSE:       {clocks, following} = {CHOOSING, ACT};
      ACT:          {clocks, following} = {WORLD, LOOK_AHEAD};
      LOOK_AHEAD:   {clocks, following} = {LOOKING, MULTIPLY};
      MULTIPLY:     {clocks, following} = {MULTIPLYING, ROUND};
      ROUND:        {clocks, following} = {COUNT_BITS'(1), WRITE};
      WRITE:        {clocks, following} = {COUNT_BITS'(1), LOOK};
      default:      {clocks, following} = {COUNT_BITS'(1), SEED_STREAMS};
    endcase
  end

  assign begins = count == '0;
  assign over   = count == clocks - 1'b1;

  always_ff @(posedge clk) begin
    // An update that has begun is finished; the next one begins when it may.
    if (run || phase != LOOK || !begins) count <= over ? '0 : count + 1'b1;
    if (over) phase <= following;
    if (rst) begin
      phase <= SEED_STREAMS;
      count <= '0;
    end
  end

  // ---- Memory: {state, action}.

  (* no_rw_check *)
  logic [WIDTH-1:0] memory[0:CELLS-1];

  if (INITIAL == 1) begin : loaded
    initial $readmemh("initial_table.hex", memory);
  end else begin : empty
    initial memory = '{default: '0};
  end

  state_t state, next;
  action_t action;
  q_t seen, q, q_new;
  logic [STATE_BITS+ACTION_BITS-1:0] read_address;

  // While the world answers, the value is read that is going to change.
  always_comb begin
    case (phase)
      LOOK:       read_address = {state, action_t'(count)};
      LOOK_AHEAD: read_address = {next, action_t'(count)};
      default:    read_address = {state, action};
    endcase
  end

  always_ff @(posedge clk) begin
    if (phase == WRITE) memory[{state, action}] <= q_new;
    seen <= memory[read_address];
  end

  // ---- The best of what is seen, one value a clock, the first of equals.

  q_t best;
  action_t best_action, greedy;
  logic looked;  // `seen` is a value of the row
  assign looked = (phase == LOOK || phase == LOOK_AHEAD) && !begins;
  assign greedy = best_action;

  always_ff @(posedge clk) begin
    if (looked && (count == 1 || seen > best)) begin
      best        <= seen;
      best_action <= action_t'(count - 1'b1);
    end
  end

  // ---- Choice and world.

  logic [31:0] choice_word;
  logic seeding;
  assign seeding = phase == SEED_STREAMS && begins;

  xorshift32 choice_stream (
      .clk, .load(seeding), .seed(SEED ^ 32'h9e3779b9), .advance(phase == CHOOSE), .word(choice_word));

  action_t chosen;
  epsilon_greedy #(.ACTIONS(ACTIONS), .ACTION_BITS(ACTION_BITS)) choose (
      .clk, .epsilon(EPSILON), .word(choice_word), .greedy, .action(chosen));

  state_t arrived;
  q_t reward, earned;
  logic ended, has_ended;

  environment #(
      .WIDTH(WIDTH), .STATE_BITS(STATE_BITS), .ACTION_BITS(ACTION_BITS), .OUTCOMES(OUTCOMES),
      .STARTS(STARTS), .START_BITS(START_BITS),
      .ENVIRONMENT_FILE(ENVIRONMENT_FILE), .STARTS_FILE(STARTS_FILE)
  ) world (
      .clk, .load_seed(seeding), .seed(SEED ^ (32'h9e3779b9 * 32'd2)),
      .step(phase == ACT && begins), .restart(phase == RESTART && begins),
      .state, .action(chosen), .next(arrived), .reward(earned), .ended(has_ended));

  always_ff @(posedge clk) begin
    if (phase == RESTART && over) state <= arrived;
    if (phase == ACT && begins) action <= chosen;
    if (phase == ACT && over) begin
      next   <= arrived;
      reward <= earned;
      ended  <= has_ended;
      q      <= seen;
    end
    if (phase == WRITE) state <= next;
  end

  // ---- Three products: for each bit of a coefficient that is set, the value times what it is worth.

  localparam logic [COUNT_BITS-1:0] SECOND = COUNT_BITS'(COEFFICIENT_BITS);
  localparam logic [COUNT_BITS-1:0] THIRD = COUNT_BITS'(2 * COEFFICIENT_BITS);
  logic [3*COEFFICIENT_BITS-1:0] coefficients;
  logic signed [SUM_WIDTH-1:0] shifted, value, minus_sum;

  always_comb begin
    value = shifted;
    if (count == '0) value = SUM_WIDTH'(q);
    if (count == SECOND) value = SUM_WIDTH'(reward);
    if (count == THIRD) value = ended ? '0 : SUM_WIDTH'(best);
  end

  always_ff @(posedge clk) begin
    if (phase == LOOK_AHEAD) begin
      coefficients <= {ALPHA_GAMMA, ALPHA, ONE_MINUS_ALPHA};
      minus_sum    <= '0;
    end
    if (phase == MULTIPLY) begin
      if (coefficients[0]) minus_sum <= minus_sum - value;
      coefficients <= coefficients >> 1;
      shifted      <= value <<< 1;
    end
  end

  // ---- One rounding.

  logic [16:0] chance;

  if (ROUNDING == 3) begin : by_chance
    logic [31:0] rounding_word;
    xorshift32 rounding_stream (
        .clk, .load(seeding), .seed(SEED ^ (32'h9e3779b9 * 32'd3)), .advance(phase == ROUND),
        .word(rounding_word));
    assign chance = rounding_word[16:0];
    logic unused;
    assign unused = ^rounding_word[31:17];
  end else begin : by_rule
    assign chance = '0;
  end

  rounding #(.WIDTH(WIDTH), .SUM_WIDTH(SUM_WIDTH), .ROUNDING(ROUNDING)) last (
      .clk, .minus_sum, .chance, .q_new);

  assign trace_valid  = phase == WRITE;
  assign trace_state  = state;
  assign trace_action = action;
  assign trace_reward = reward;
  assign trace_next   = next;
  assign trace_ended  = ended;
  assign trace_q      = q_new;
endmodule
