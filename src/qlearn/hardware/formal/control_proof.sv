// The ring's control has no dead end: stopped, it stands still within three revolutions; started and
// left alone, it learns within three; and what it does comes in order.
//
// The clocks that have passed and the clocks that are left never add up to more than the bound,
// which is what makes this a proof for all times.
module control_proof #(
    parameter int AGENTS     = 14,
    parameter int AGENT_BITS = 4
) (
    input logic clk,
    input logic rst,
    input logic run,
    input logic clear
);
  agent_ring #(
      .WIDTH(8), .ACTIONS(2), .ACTION_BITS(1), .STATE_BITS(1), .OUTCOMES(1), .STARTS(1),
      .START_BITS(1), .AGENTS(AGENTS), .AGENT_BITS(AGENT_BITS)
  ) ring (
      .clk, .rst, .run, .clear, .alpha('0), .one_minus_alpha('0), .alpha_gamma('0), .epsilon('0),
      .seed('0), .idle(), .host_write('0), .host_agent('0), .host_state('0), .host_action('0),
      .host_value('0), .host_q(), .trace_valid(), .trace_agent(), .trace_state(), .trace_action(),
      .trace_reward(), .trace_next(), .trace_ended(), .trace_q());

  localparam logic [1:0] IDLE = 0, LOAD = 1, LEARN = 2;

  // How many clocks nobody has said otherwise, and how many are left until it does what was said.
  logic [7:0] stopping = '0, starting = '0;
  always_ff @(posedge clk) begin
    stopping <= run || rst || ring.idle ? '0 : stopping + 1'b1;
    starting <= !run || rst || clear || !ring.running || ring.phase == LEARN ? '0 : starting + 1'b1;
  end

  int to_idle, to_learn;
  always_comb begin
    to_idle  = AGENTS - 32'(ring.agent);
    to_learn = AGENTS - 32'(ring.agent);
    case (ring.phase)
      IDLE:    to_learn += AGENTS;
      LOAD:    to_idle += 2 * AGENTS;
      LEARN:   to_idle += AGENTS;
      default: to_learn += 2 * AGENTS;
    endcase
  end

  logic [1:0] was;
  logic was_reset;
  always_ff @(posedge clk) begin
    was       <= ring.phase;
    was_reset <= ring.reset;
  end

  logic first = 1'b1, second = 1'b1;
  always_ff @(posedge clk) begin
    first  <= 1'b0;
    second <= first;
  end

  always_comb begin
    if (second) assume (rst);
    if (!second) begin
      assert (ring.agent < AGENTS);
      assert (ring.phase == was || ring.phase == was + 2'd1 || was_reset);
      if (ring.phase != IDLE) assert (32'(stopping) + to_idle <= 3 * AGENTS + 2);
      if (ring.phase != LEARN) assert (32'(starting) + to_learn <= 3 * AGENTS + 2);
    end
  end
endmodule
