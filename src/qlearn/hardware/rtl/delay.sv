// A value, STAGES clocks later.
module delay #(
    parameter int WIDTH  = 1,
    parameter int STAGES = 1
) (
    input  logic             clk,
    input  logic [WIDTH-1:0] value,
    output logic [WIDTH-1:0] delayed
);
  if (STAGES == 0) begin : wire_only
    logic unused;
    assign unused  = clk;
    assign delayed = value;
  end else begin : registers
    logic [STAGES-1:0][WIDTH-1:0] pipe;
    always_ff @(posedge clk) begin
      pipe[0] <= value;
      for (int stage = 1; stage < STAGES; stage++) pipe[stage] <= pipe[stage-1];
    end
    assign delayed = pipe[STAGES-1];
  end
endmodule
