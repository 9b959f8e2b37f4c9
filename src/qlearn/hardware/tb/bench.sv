// A host in plain SystemVerilog: clears, learns for so many updates, reads every table out.
//
// It runs wherever there is a simulator: on the modules with Verilator, which is how to see many
// millions of updates, and on the netlist that synthesis makes of them with Icarus. It uses nothing
// but the port, and `trace` if +beats=FILE asks for every update.
//
//   +updates=N     at least so many (of all rings)
//   +table=FILE    the Q values in the order [ring][agent][state][action], a line each
//   +every=N       only every N-th of them
//   +beats=FILE    the trace of every clock of learning, a line each
`timescale 1ns / 1ps
module bench #(
    parameter int RINGS = 1,
    parameter int AGENTS = 14,
    parameter int STATES = 25,
    parameter int ACTIONS = 4,
    parameter int AGENT_BITS = 4,
    parameter int STATE_BITS = 5,
    parameter int ACTION_BITS = 2,
    parameter int BEAT_BITS = 50
);
  localparam int PATIENCE = 100000;
  localparam logic [5:0] CONTROL = 6'h00, STATUS = 6'h04, UPDATES_LOW = 6'h18, UPDATES_HIGH = 6'h1c;
  localparam logic [5:0] TABLE_ADDRESS = 6'h20, TABLE_DATA = 6'h24, EPISODES = 6'h28;

  logic clk = 1'b0, rst = 1'b1;
  logic [5:0] awaddr = '0, araddr = '0;
  logic awvalid = 1'b0, wvalid = 1'b0, arvalid = 1'b0;
  logic [31:0] wdata = '0;
  logic awready, wready, bvalid, arready, rvalid;
  logic [1:0] bresp, rresp;
  logic [31:0] rdata;

  accelerator dut (
      .clk(clk), .rst(rst),
      .s_axi_awaddr(awaddr), .s_axi_awvalid(awvalid), .s_axi_awready(awready),
      .s_axi_wdata(wdata), .s_axi_wstrb(4'b1111), .s_axi_wvalid(wvalid), .s_axi_wready(wready),
      .s_axi_bresp(bresp), .s_axi_bvalid(bvalid), .s_axi_bready(1'b1),
      .s_axi_araddr(araddr), .s_axi_arvalid(arvalid), .s_axi_arready(arready),
      .s_axi_rdata(rdata), .s_axi_rresp(rresp), .s_axi_rvalid(rvalid), .s_axi_rready(1'b1));

  always #5 clk = ~clk;

  longint unsigned clocks = 0;
  always @(posedge clk) clocks <= clocks + 1;

  // The beat of ring 0 has its bit `valid` on top.
  logic [RINGS*BEAT_BITS-1:0] trace;
  logic beats_wanted = 1'b0;
  int beats;
  assign trace = dut.trace;
  always @(negedge clk) if (beats_wanted && trace[BEAT_BITS-1]) $fwrite(beats, "%h\n", trace);

  task automatic write(input logic [5:0] register, input logic [31:0] value);
    awaddr  = register;
    wdata   = value;
    awvalid = 1'b1;
    wvalid  = 1'b1;
    @(negedge clk);
    awvalid = 1'b0;
    wvalid  = 1'b0;
    while (!bvalid) @(negedge clk);
    if (bresp != 2'b00) fail("a write was refused");
    @(negedge clk);
  endtask

  task automatic read(input logic [5:0] register, output logic [31:0] value);
    araddr  = register;
    arvalid = 1'b1;
    @(negedge clk);
    arvalid = 1'b0;
    while (!rvalid) @(negedge clk);
    if (rresp != 2'b00) fail("a read was refused");
    value = rdata;
    @(negedge clk);
  endtask

  task automatic fail(input string what);
    $display("failed: %s", what);
    $finish;
  endtask

  longint unsigned updates, began, ended;
  logic [31:0] low, high, episodes, status;
  int tables, patience, every, entry;
  string file;

  initial begin
    if (!$value$plusargs("updates=%d", updates)) updates = 100000;
    if ($value$plusargs("beats=%s", file)) begin
      beats = $fopen(file, "w");
      beats_wanted = 1'b1;
    end
    repeat (16) @(negedge clk);
    rst = 1'b0;
    write(CONTROL, 2);
    $display("learning");
    $fflush;
    began = clocks;
    write(CONTROL, 1);
    repeat (int'(updates) / RINGS + 3 * AGENTS) @(negedge clk);  // a ring begins with a revolution of loading
    write(CONTROL, 0);
    status   = 0;
    patience = PATIENCE;
    while (status == 0) begin
      read(STATUS, status);
      patience = patience - 1;
      if (patience == 0) fail("the circuit does not come to rest");
    end
    ended = clocks;
    read(UPDATES_LOW, low);
    read(UPDATES_HIGH, high);
    read(EPISODES, episodes);
    $display("learned %0d updates %0d episodes %0d cycles", {high, low}, episodes, ended - began);
    $fflush;
    if ($value$plusargs("table=%s", file)) begin
      if (!$value$plusargs("every=%d", every)) every = 1;
      entry  = 0;
      tables = $fopen(file, "w");
      for (int ring = 0; ring < RINGS; ring = ring + 1)
        for (int agent = 0; agent < AGENTS; agent = agent + 1)
          for (int state = 0; state < STATES; state = state + 1)
            for (int action = 0; action < ACTIONS; action = action + 1) begin
              if (entry % every == 0) begin
                write(TABLE_ADDRESS,
                      (((ring << AGENT_BITS | agent) << STATE_BITS | state) << ACTION_BITS) | action);
                read(TABLE_DATA, low);
                $fwrite(tables, "%0d\n", $signed(low));
              end
              entry = entry + 1;
            end
      $fclose(tables);
    end
    if (beats_wanted) $fclose(beats);
    $finish;
  end
endmodule
