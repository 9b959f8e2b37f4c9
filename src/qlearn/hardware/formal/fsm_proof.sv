// The small circuit of one agent has no dead state: from wherever it is, it comes back to its first,
// where the next update begins, within the clocks of one update; there it goes on as soon as it may.
// Its phases come in order, and no encoding that is not a phase is ever entered.
//
// The clocks that have passed and those that are left never add up to more than one update has,
// which is what makes this a proof for all times.
module fsm_proof (
    input logic clk,
    input logic rst,
    input logic run
);
  agent_fsm fsm (
      .clk, .rst, .run, .trace_valid(), .trace_state(), .trace_action(), .trace_reward(),
      .trace_next(), .trace_ended(), .trace_q());

  // The clocks of each phase, and those from its end to the next first state.
  localparam int SEED_STREAMS = 0, RESTART = 1, LOOK = 2, CHOOSE = 3, ACT = 4, LOOK_AHEAD = 5;
  localparam int MULTIPLY = 6, ROUND = 7, WRITE = 8;
  int after_look_ahead, after_act, after_choose, after_look, update;
  assign after_look_ahead = 32'(fsm.MULTIPLYING) + 2;
  assign after_act        = 32'(fsm.LOOKING) + after_look_ahead;
  assign after_choose     = 32'(fsm.WORLD) + after_act;
  assign after_look       = 32'(fsm.CHOOSING) + after_choose;
  assign update           = 32'(fsm.LOOKING) + after_look;

  int left, following;
  always_comb begin
    left = 32'(fsm.clocks) - 32'(fsm.count);
    following = 32'(fsm.phase) + 1;
    case (32'(fsm.phase))
      SEED_STREAMS: left += 32'(fsm.WORLD);
      LOOK:         left += after_look;
      CHOOSE:       left += after_choose;
      ACT:          left += after_act;
      LOOK_AHEAD:   left += after_look_ahead;
      MULTIPLY:     left += 2;
      ROUND:        left += 1;
      WRITE:        following = LOOK;
      default: ;
    endcase
  end

  logic home, was_home = 1'b0, could_go = 1'b0, was_reset = 1'b1;
  int passed = 0, was = 0, was_following = 0;
  assign home = 32'(fsm.phase) == LOOK && fsm.count == '0;
  always_ff @(posedge clk) begin
    passed        <= rst || home ? 0 : passed + 1;
    was           <= 32'(fsm.phase);
    was_following <= following;
    was_home      <= home;
    could_go      <= run;
    was_reset     <= rst;
  end

  logic first = 1'b1;
  always_ff @(posedge clk) first <= 1'b0;

  always_comb begin
    if (first) assume (rst);
    if (!first) begin
      assert (32'(fsm.phase) <= WRITE);
      assert (fsm.count < fsm.clocks);
      assert (was_reset || 32'(fsm.phase) == was || 32'(fsm.phase) == was_following);
      if (was_home && !was_reset) assert (home == !could_go);
      assert (passed >= 0 && passed <= update && passed + (home ? 0 : left) <= update);
    end
  end
endmodule
