// AGENTS agents that learn in turn, one exact update of Q-learning every clock.
//
// An update takes DEPTH clocks, and the next update of the same agent needs its result. So agents
// take turns: slot t belongs to agent t mod AGENTS, and with at least DEPTH agents, the last update of
// an agent is done when its turn comes again. Nothing waits and nothing is guessed.
//
// A slot's way through the ring, in clocks (LEVELS for 4 actions: 2):
//
//   select LEVELS | choose 1 | environment 3 | table 2 | max LEVELS | update U | write 1
//
// The row of the Q values of the agent's state goes around with it: the row of the next state is read
// once, for the maximum, and is what the next visit chooses from. Only where the next state is the
// same state, the row has to take in the value that is just being written.
module agent_ring #(
    parameter int RING = 0,
    parameter int WIDTH = 16,
    parameter int ROUNDING = 0,
    parameter int ACTIONS = 4,
    parameter int ACTION_BITS = 2,
    parameter int STATE_BITS = 5,
    parameter int OUTCOMES = 1,
    parameter int STARTS = 1,
    parameter int START_BITS = 1,
    parameter int AGENTS = 16,
    parameter int AGENT_BITS = 4,
    parameter int INITIAL = 0,
    parameter ENVIRONMENT_FILE = "environment.hex",
    parameter STARTS_FILE = "starts.hex"
) (
    input logic clk,
    input logic rst,

    // Control: `run` for whole revolutions of the ring, `clear` (while idle) for a new beginning.
    input  logic        run,
    input  logic        clear,
    input  logic [17:0] alpha,
    input  logic [17:0] one_minus_alpha,
    input  logic [17:0] alpha_gamma,
    input  logic [16:0] epsilon,
    input  logic [31:0] seed,
    output logic        idle,

    // The host's way to the tables, while idle: 4 clocks from address to value.
    input  logic                    host_write,
    input  logic [AGENT_BITS-1:0]   host_agent,
    input  logic [STATE_BITS-1:0]   host_state,
    input  logic [ACTION_BITS-1:0]  host_action,
    input  logic [WIDTH-1:0]        host_value,
    output logic [WIDTH-1:0]        host_q,

    // What the update of this clock was.
    output logic                    trace_valid,
    output logic [AGENT_BITS-1:0]   trace_agent,
    output logic [STATE_BITS-1:0]   trace_state,
    output logic [ACTION_BITS-1:0]  trace_action,
    output logic [WIDTH-1:0]        trace_reward,
    output logic [STATE_BITS-1:0]   trace_next,
    output logic                    trace_ended,
    output logic [WIDTH-1:0]        trace_q
);
  localparam int LEVELS = ACTIONS > 1 ? $clog2(ACTIONS) : 1;
  localparam int ENVIRONMENT_STAGES = 3;
  localparam int TABLE_STAGES = 2;
  localparam int UPDATE_STAGES = WIDTH > 18 ? 6 : 5;

  // The clocks at which a slot reaches the parts of the ring.
  localparam int CHOOSE = LEVELS;
  localparam int WORLD = CHOOSE + 1;
  localparam int READ = WORLD + ENVIRONMENT_STAGES;
  localparam int BEST = READ + TABLE_STAGES;
  localparam int UPDATE = BEST + LEVELS;
  localparam int WRITE = UPDATE + UPDATE_STAGES;
  localparam int DEPTH = WRITE + 1;

  typedef logic [AGENT_BITS-1:0] agent_t;
  typedef logic [STATE_BITS-1:0] state_t;
  typedef logic [ACTION_BITS-1:0] action_t;
  typedef logic signed [WIDTH-1:0] q_t;
  typedef q_t [ACTIONS-1:0] row_t;

  // Streams that start from one seed lie apart by multiples of 2^32 over the golden ratio.
  function automatic logic [31:0] salt(input int stream);
    return 32'h9e3779b9 * 32'(4 * RING + stream + 1);
  endfunction

  if (AGENTS < DEPTH) begin : too_few
    $error("an agent's turn comes before its update is done: at least %0d agents", DEPTH);
  end

  // A reset of its own keeps each ring's control apart from its neighbours': the same registers
  // would otherwise be merged, and drive wires across the whole chip.
  (* keep *) logic reset;
  always_ff @(posedge clk) reset <= rst;

  // ---- Control: whole revolutions, each of one kind.

  typedef enum logic [1:0] {
    IDLE,   // the host may use the tables
    LOAD,   // every agent's row is read; after a clear, every agent is put on a start
    LEARN,  // every slot is an update
    DRAIN   // the last updates come to their end
  } phase_t;

  phase_t phase;
  agent_t agent;  // whose slot enters now
  logic fresh, last_of_revolution;
  logic running, clearing;
  logic [16:0] chance_to_explore;

  assign last_of_revolution = agent == agent_t'(AGENTS - 1);
  assign idle = phase == IDLE;

  always_ff @(posedge clk) begin
    running <= run & ~reset;
    clearing <= reset | (clear & idle);
    chance_to_explore <= reset ? '0 : epsilon;
    agent <= last_of_revolution ? '0 : agent + 1'b1;
    if (last_of_revolution) begin
      case (phase)
        IDLE:  if (running && !clear) phase <= LOAD;
        LOAD:  phase <= LEARN;
        LEARN: if (!running) phase <= DRAIN;
        DRAIN: phase <= IDLE;
      endcase
      if (phase == LOAD) fresh <= 1'b0;
    end
    if (clearing) fresh <= 1'b1;
    if (reset) begin
      phase <= IDLE;
      agent <= '0;
    end
  end

  // learns[n], restarts[n]: the slot that is n clocks into the ring is an update, begins anew.
  logic [WRITE:0] learns;
  logic [WORLD:0] restarts;
  logic [WRITE:1] learned;
  logic [WORLD:1] restarted;
  assign learns   = {learned, phase == LEARN};
  assign restarts = {restarted, phase == LOAD && fresh};
  always_ff @(posedge clk) begin
    learned   <= reset ? '0 : learns[WRITE-1:0];
    restarted <= reset ? '0 : restarts[WORLD-1:0];
  end

  // ---- Choose: the best action of the row, or any.

  state_t state;
  row_t row;
  action_t greedy, action;
  logic [31:0] choice_word;

  // verilator lint_off PINCONNECTEMPTY
  max_selector #(.N(ACTIONS), .WIDTH(WIDTH)) best_action (
      .clk, .values(row), .largest(), .index(greedy));
  // verilator lint_on PINCONNECTEMPTY

  xorshift32 choice_stream (
      .clk, .load(clearing), .seed(seed ^ salt(0)), .advance(learns[CHOOSE]), .word(choice_word));

  epsilon_greedy #(.ACTIONS(ACTIONS), .ACTION_BITS(ACTION_BITS)) choose (
      .clk, .epsilon(chance_to_explore), .word(choice_word), .greedy, .action);

  // ---- Environment, and meanwhile Q(s, a) is picked from the row.

  state_t world_state, next;
  row_t world_row;
  q_t reward, q;
  logic ended;

  delay #(.WIDTH(STATE_BITS), .STAGES(WORLD)) of_state (
      .clk, .value(state), .delayed(world_state));
  delay #(.WIDTH(ACTIONS * WIDTH), .STAGES(WORLD)) of_row (
      .clk, .value(row), .delayed(world_row));

  environment #(
      .WIDTH(WIDTH), .STATE_BITS(STATE_BITS), .ACTION_BITS(ACTION_BITS), .OUTCOMES(OUTCOMES),
      .STARTS(STARTS), .START_BITS(START_BITS),
      .ENVIRONMENT_FILE(ENVIRONMENT_FILE), .STARTS_FILE(STARTS_FILE)
  ) world (
      .clk, .load_seed(clearing), .seed(seed ^ salt(1)),
      .step(learns[WORLD]), .restart(restarts[WORLD]), .state(world_state), .action,
      .next, .reward, .ended);

  always_ff @(posedge clk) q <= world_row[action];

  // ---- Table: the row of the next state; one bank for each action, read side by side.

  agent_t read_agent, write_agent;
  state_t write_state;
  action_t write_action;
  logic [AGENT_BITS+STATE_BITS-1:0] read_address, write_address;
  row_t next_row;
  q_t q_new, written;

  delay #(.WIDTH(AGENT_BITS), .STAGES(READ)) of_reader (
      .clk, .value(agent), .delayed(read_agent));
  delay #(.WIDTH(AGENT_BITS), .STAGES(WRITE - READ)) of_writer (
      .clk, .value(read_agent), .delayed(write_agent));
  long_delay #(.WIDTH(STATE_BITS), .STAGES(WRITE - WORLD)) of_written_state (
      .clk, .value(world_state), .delayed(write_state));
  delay #(.WIDTH(ACTION_BITS), .STAGES(WRITE - WORLD)) of_written_action (
      .clk, .value(action), .delayed(write_action));

  assign read_address  = idle ? {host_agent, host_state} : {read_agent, next};
  assign write_address = idle ? {host_agent, host_state} : {write_agent, write_state};
  assign written       = idle ? host_value : q_new;

  for (genvar a = 0; a < ACTIONS; a++) begin : bank
    logic write;
    assign write = idle ? host_write && host_action == action_t'(a)
                        : learns[WRITE] && write_action == action_t'(a);
    q_table #(
        .WIDTH(WIDTH), .ADDRESS_BITS(AGENT_BITS + STATE_BITS), .ACTION(a), .INITIAL(INITIAL)
    ) q_of_action (
        .clk, .read_address, .q(next_row[a]), .write, .write_address, .q_new(written));
  end

  always_ff @(posedge clk) host_q <= next_row[host_action];

  // ---- Update: the largest value of the next row, and Watkins' rule.

  q_t largest_next, update_q, update_reward;
  logic update_ended;
  logic [16:0] chance;

  // verilator lint_off PINCONNECTEMPTY
  max_selector #(.N(ACTIONS), .WIDTH(WIDTH)) best_next (
      .clk, .values(next_row), .largest(largest_next), .index());
  // verilator lint_on PINCONNECTEMPTY

  long_delay #(.WIDTH(WIDTH), .STAGES(UPDATE - WORLD - 1)) of_q (
      .clk, .value(q), .delayed(update_q));
  delay #(.WIDTH(WIDTH + 1), .STAGES(UPDATE - READ)) of_outcome (
      .clk, .value({reward, ended}), .delayed({update_reward, update_ended}));

  if (ROUNDING == 3) begin : by_chance
    logic [31:0] rounding_word;
    xorshift32 rounding_stream (
        .clk, .load(clearing), .seed(seed ^ salt(2)), .advance(learns[WRITE-1]), .word(rounding_word));
    assign chance = rounding_word[16:0];
    logic unused;
    assign unused = ^rounding_word[31:17];
  end else begin : by_rule
    assign chance = '0;
  end

  q_update_unit #(.WIDTH(WIDTH), .ROUNDING(ROUNDING)) update (
      .clk, .rst(reset), .alpha, .one_minus_alpha, .alpha_gamma,
      .q(update_q), .reward(update_reward), .largest_next, .ended(update_ended), .chance, .q_new);

  // ---- Write, and forward to the row that goes around.

  row_t write_row, forwarded;
  state_t write_next;
  logic stays, write_stays;

  long_delay #(.WIDTH(ACTIONS * WIDTH), .STAGES(WRITE - BEST)) of_next_row (
      .clk, .value(next_row), .delayed(write_row));
  long_delay #(.WIDTH(STATE_BITS), .STAGES(WRITE - READ)) of_next (
      .clk, .value(next), .delayed(write_next));

  state_t read_state;
  delay #(.WIDTH(STATE_BITS), .STAGES(READ - WORLD)) of_read_state (
      .clk, .value(world_state), .delayed(read_state));
  always_ff @(posedge clk) stays <= next == read_state;
  delay #(.WIDTH(1), .STAGES(WRITE - READ - 1)) of_stays (
      .clk, .value(stays), .delayed(write_stays));

  always_comb begin
    forwarded = write_row;
    if (learns[WRITE] && write_stays) forwarded[write_action] = q_new;
  end

  delay #(.WIDTH(STATE_BITS + ACTIONS * WIDTH), .STAGES(1 + AGENTS - DEPTH)) around (
      .clk, .value({write_next, forwarded}), .delayed({state, row}));

  // ---- Trace.

  assign trace_valid  = learns[WRITE];
  assign trace_agent  = write_agent;
  assign trace_state  = write_state;
  assign trace_action = write_action;
  assign trace_next   = write_next;
  assign trace_q      = q_new;
  delay #(.WIDTH(WIDTH + 1), .STAGES(WRITE - UPDATE)) of_trace (
      .clk, .value({update_reward, update_ended}), .delayed({trace_reward, trace_ended}));
endmodule
