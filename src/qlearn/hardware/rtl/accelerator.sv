// RINGS rings side by side, and one host port for all.
//
// Commands go from ring to ring, one clock each. Answers do the same, and every ring adds its own. So
// all wires are short, however many rings there are; ring i does everything i clocks after ring 0.
module accelerator
  import ql_parameters::*;
(
    input  logic        clk,
    input  logic        rst,
    input  logic [5:0]  s_axi_awaddr,
    input  logic        s_axi_awvalid,
    output logic        s_axi_awready,
    input  logic [31:0] s_axi_wdata,
    input  logic [3:0]  s_axi_wstrb,
    input  logic        s_axi_wvalid,
    output logic        s_axi_wready,
    output logic [1:0]  s_axi_bresp,
    output logic        s_axi_bvalid,
    input  logic        s_axi_bready,
    input  logic [5:0]  s_axi_araddr,
    input  logic        s_axi_arvalid,
    output logic        s_axi_arready,
    output logic [31:0] s_axi_rdata,
    output logic [1:0]  s_axi_rresp,
    output logic        s_axi_rvalid,
    input  logic        s_axi_rready
);
  localparam int ADDRESS_BITS = RING_BITS + AGENT_BITS + STATE_BITS + ACTION_BITS;
  localparam int COUNT_BITS = $clog2(RINGS + 1);

  typedef struct packed {
    logic                   rst;
    logic                   run;
    logic                   clear;
    logic [17:0]            alpha;
    logic [17:0]            one_minus_alpha;
    logic [17:0]            alpha_gamma;
    logic [16:0]            epsilon;
    logic [31:0]            seed;
    logic                   table_write;
    logic [RING_BITS-1:0]   table_ring;
    logic [AGENT_BITS-1:0]  table_agent;
    logic [STATE_BITS-1:0]  table_state;
    logic [ACTION_BITS-1:0] table_action;
    logic [WIDTH-1:0]       table_value;
  } command_t;

  // What the host commands, and what has come as far as ring i.
  command_t host_command;
  command_t [RINGS-1:0] command;
  assign host_command.rst = rst;

  // What the rings before ring i answer; after the last one, what the host port hears.
  logic [RINGS:0] idle_before;
  logic [RINGS:0][COUNT_BITS-1:0] episodes_before;
  logic [RINGS:0][WIDTH-1:0] q_before;
  assign idle_before[0]     = 1'b1;
  assign episodes_before[0] = '0;
  assign q_before[0]        = '0;

  // What a test bench looks at: the rings' updates side by side. In a chip nothing is connected to it.
  typedef struct packed {
    logic                   valid;
    logic [AGENT_BITS-1:0]  agent;
    logic [STATE_BITS-1:0]  state;
    logic [ACTION_BITS-1:0] action;
    logic [WIDTH-1:0]       reward;
    logic [STATE_BITS-1:0]  next;
    logic                   ended;
    logic [WIDTH-1:0]       q;
  } trace_t;
  trace_t [RINGS-1:0] trace;
  logic [RINGS-1:0] learning;

  host_port #(
      .WIDTH(WIDTH), .RINGS(RINGS), .ADDRESS_BITS(ADDRESS_BITS), .COUNT_BITS(COUNT_BITS),
      .ALPHA(ALPHA), .GAMMA(GAMMA), .EPSILON(EPSILON), .SEED(SEED), .VERSION(VERSION)
  ) host (
      .clk, .rst,
      .s_axi_awaddr, .s_axi_awvalid, .s_axi_awready, .s_axi_wdata, .s_axi_wstrb, .s_axi_wvalid,
      .s_axi_wready, .s_axi_bresp, .s_axi_bvalid, .s_axi_bready, .s_axi_araddr, .s_axi_arvalid,
      .s_axi_arready, .s_axi_rdata, .s_axi_rresp, .s_axi_rvalid, .s_axi_rready,
      .run(host_command.run), .clear(host_command.clear), .alpha(host_command.alpha),
      .one_minus_alpha(host_command.one_minus_alpha), .alpha_gamma(host_command.alpha_gamma),
      .epsilon(host_command.epsilon), .seed(host_command.seed),
      .table_write(host_command.table_write),
      .table_address({host_command.table_ring, host_command.table_agent, host_command.table_state,
                      host_command.table_action}),
      .table_value(host_command.table_value),
      .rings_idle(idle_before[RINGS]), .learning(learning[0]),
      .episodes_ended(episodes_before[RINGS]), .table_q(q_before[RINGS]));

  for (genvar i = 0; i < RINGS; i++) begin : ring
    logic idle, selected;
    logic [WIDTH-1:0] q;
    trace_t update;
    assign learning[i] = update.valid;
    assign selected = command[i].table_ring == RING_BITS'(i);
    always_ff @(posedge clk) command[i] <= i == 0 ? host_command : command[i > 0 ? i - 1 : 0];

    agent_ring #(
        .RING(i), .WIDTH(WIDTH), .ROUNDING(ROUNDING), .ACTIONS(ACTIONS), .ACTION_BITS(ACTION_BITS),
        .STATE_BITS(STATE_BITS), .OUTCOMES(OUTCOMES), .STARTS(STARTS), .START_BITS(START_BITS),
        .AGENTS(AGENTS), .AGENT_BITS(AGENT_BITS), .INITIAL(INITIAL),
        .ENVIRONMENT_FILE(ENVIRONMENT_FILE), .STARTS_FILE(STARTS_FILE)
    ) agents (
        .clk, .rst(command[i].rst), .run(command[i].run), .clear(command[i].clear),
        .alpha(command[i].alpha), .one_minus_alpha(command[i].one_minus_alpha),
        .alpha_gamma(command[i].alpha_gamma), .epsilon(command[i].epsilon), .seed(command[i].seed),
        .idle, .host_write(command[i].table_write && selected),
        .host_agent(command[i].table_agent), .host_state(command[i].table_state),
        .host_action(command[i].table_action), .host_value(command[i].table_value), .host_q(q),
        .trace_valid(update.valid), .trace_agent(update.agent), .trace_state(update.state),
        .trace_action(update.action), .trace_reward(update.reward), .trace_next(update.next),
        .trace_ended(update.ended), .trace_q(update.q));

    delay #(.WIDTH($bits(trace_t)), .STAGES(RINGS - 1 - i)) until_the_last_ring (
        .clk, .value(update), .delayed(trace[i]));

    always_ff @(posedge clk) begin
      idle_before[i+1]     <= idle_before[i] && idle;
      q_before[i+1]        <= q_before[i] | (selected ? q : '0);
      episodes_before[i+1] <= episodes_before[i] + COUNT_BITS'(update.valid && update.ended);
    end
  end

  logic unused;
  assign unused = ^{trace, learning};
endmodule
