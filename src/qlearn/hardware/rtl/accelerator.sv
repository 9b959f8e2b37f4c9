// RINGS rings side by side, and one host port for all.
//
// Commands go to all rings at once. Answers go from ring to ring, one clock each, and every ring adds
// its own: so the wires stay short, however many rings there are.
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

  logic run, clear, table_write;
  logic [17:0] alpha, one_minus_alpha, alpha_gamma;
  logic [16:0] epsilon;
  logic [31:0] seed;
  logic [WIDTH-1:0] table_value;

  logic [RING_BITS-1:0] table_ring;
  logic [AGENT_BITS-1:0] table_agent;
  logic [STATE_BITS-1:0] table_state;
  logic [ACTION_BITS-1:0] table_action;

  // What the rings before ring i answer; after the last one, what the host port hears.
  logic [RINGS:0] idle_before;
  logic [RINGS:0][COUNT_BITS-1:0] episodes_before;
  logic [RINGS:0][WIDTH-1:0] q_before;
  assign idle_before[0]     = 1'b1;
  assign episodes_before[0] = '0;
  assign q_before[0]        = '0;

  // What a test bench looks at: one update of each ring. In a chip nothing is connected to it.
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

  host_port #(
      .WIDTH(WIDTH), .RINGS(RINGS), .ADDRESS_BITS(ADDRESS_BITS), .COUNT_BITS(COUNT_BITS),
      .ALPHA(ALPHA), .GAMMA(GAMMA), .EPSILON(EPSILON), .SEED(SEED), .VERSION(VERSION)
  ) host (
      .clk, .rst,
      .s_axi_awaddr, .s_axi_awvalid, .s_axi_awready, .s_axi_wdata, .s_axi_wstrb, .s_axi_wvalid,
      .s_axi_wready, .s_axi_bresp, .s_axi_bvalid, .s_axi_bready, .s_axi_araddr, .s_axi_arvalid,
      .s_axi_arready, .s_axi_rdata, .s_axi_rresp, .s_axi_rvalid, .s_axi_rready,
      .run, .clear, .alpha, .one_minus_alpha, .alpha_gamma, .epsilon, .seed,
      .table_write, .table_address({table_ring, table_agent, table_state, table_action}),
      .table_value,
      .rings_idle(idle_before[RINGS]), .learning(trace[0].valid),
      .episodes_ended(episodes_before[RINGS]), .table_q(q_before[RINGS]));

  for (genvar i = 0; i < RINGS; i++) begin : ring
    logic idle, selected;
    logic [WIDTH-1:0] q;
    assign selected = table_ring == RING_BITS'(i);

    agent_ring #(
        .RING(i), .WIDTH(WIDTH), .ROUNDING(ROUNDING), .ACTIONS(ACTIONS), .ACTION_BITS(ACTION_BITS),
        .STATE_BITS(STATE_BITS), .OUTCOMES(OUTCOMES), .STARTS(STARTS), .START_BITS(START_BITS),
        .AGENTS(AGENTS), .AGENT_BITS(AGENT_BITS), .INITIAL(INITIAL),
        .ENVIRONMENT_FILE(ENVIRONMENT_FILE), .STARTS_FILE(STARTS_FILE)
    ) agents (
        .clk, .rst, .run, .clear, .alpha, .one_minus_alpha, .alpha_gamma, .epsilon, .seed, .idle,
        .host_write(table_write && selected), .host_agent(table_agent), .host_state(table_state),
        .host_action(table_action), .host_value(table_value), .host_q(q),
        .trace_valid(trace[i].valid), .trace_agent(trace[i].agent), .trace_state(trace[i].state),
        .trace_action(trace[i].action), .trace_reward(trace[i].reward), .trace_next(trace[i].next),
        .trace_ended(trace[i].ended), .trace_q(trace[i].q));

    always_ff @(posedge clk) begin
      idle_before[i+1]     <= idle_before[i] && idle;
      q_before[i+1]        <= q_before[i] | (selected ? q : '0);
      episodes_before[i+1] <= episodes_before[i] + COUNT_BITS'(trace[i].valid && trace[i].ended);
    end
  end

  logic unused;
  assign unused = ^trace;
endmodule
