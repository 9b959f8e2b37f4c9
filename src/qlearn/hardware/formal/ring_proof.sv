// Agents never meet in the tables: what an agent reads is never what is being written in the same
// clock, which is why the tables can do without a check (`no_rw_check`); and never what is still to
// be written. Nor does the host come upon an update on its way.
//
// This is for all times (induction) and all contents: whatever a memory or a multiplication gives
// here is any number at all (`cutpoint`).
module ring_proof #(
    parameter int AGENTS     = 14,
    parameter int AGENT_BITS = 4
) (
    input logic                  clk,
    input logic                  rst,
    input logic                  run,
    input logic                  clear,
    input logic                  host_write,
    input logic [AGENT_BITS-1:0] host_agent,
    input logic                  host_state,
    input logic                  host_action,
    input logic [7:0]            host_value
);
  agent_ring #(
      .WIDTH(8), .ACTIONS(2), .ACTION_BITS(1), .STATE_BITS(1), .OUTCOMES(1), .STARTS(1),
      .START_BITS(1), .AGENTS(AGENTS), .AGENT_BITS(AGENT_BITS)
  ) ring (
      .clk, .rst, .run, .clear, .alpha('0), .one_minus_alpha('0), .alpha_gamma('0), .epsilon('0),
      .seed('0), .idle(), .host_write, .host_agent, .host_state, .host_action, .host_value,
      .host_q(), .trace_valid(), .trace_agent(), .trace_state(), .trace_action(), .trace_reward(),
      .trace_next(), .trace_ended(), .trace_q());

  // One agent, whichever: between its reading and its writing it must not read again.
  logic [AGENT_BITS-1:0] somebody;
  logic reads, writes, unwritten = 1'b0;
  assign reads  = !ring.idle && ring.read_agent == somebody;
  assign writes = ring.learns[ring.WRITE] && ring.write_agent == somebody;

  logic [4:0] clocks = '0;
  always_ff @(posedge clk) begin
    somebody <= somebody;
    if (clocks != '1) clocks <= clocks + 1'b1;
    if (reads && ring.learns[ring.READ]) unwritten <= 1'b1;
    else if (writes) unwritten <= 1'b0;
    if (ring.reset) unwritten <= 1'b0;
  end

  always_comb begin
    assume (somebody < AGENTS);
    if (clocks < 2) assume (rst);
    if (clocks >= 2) begin
      assert (ring.agent < AGENTS);
      if (ring.learns[ring.WRITE]) assert (ring.read_address != ring.write_address);
      assert (!(ring.idle && ring.learns != '0));
      assert (!(reads && unwritten));
      assert (!(ring.idle && unwritten));
    end
  end
endmodule
