// The Q values of one action: a block RAM with a port to read and a port to write.
//
// Latency of reading: 2 clocks, the memory's own and a register behind it, for a memory's output
// alone takes most of a clock. `no_rw_check`: nothing here says what a read gives that meets a write
// to the same address, because agents take turns so that this never happens.
module q_table #(
    parameter int WIDTH = 16,
    parameter int ADDRESS_BITS = 9,
    parameter int ACTION = 0,
    parameter int INITIAL = 0      // 1: contents from initial_<action>.hex, 0: zeros
) (
    input  logic                    clk,
    input  logic [ADDRESS_BITS-1:0] read_address,
    output logic [WIDTH-1:0]        q,
    input  logic                    write,
    input  logic [ADDRESS_BITS-1:0] write_address,
    input  logic [WIDTH-1:0]        q_new
);
  localparam int DEPTH = 1 << ADDRESS_BITS;
  localparam logic [7:0] DIGIT = ACTION < 10 ? 8'("0") + 8'(ACTION) : 8'("a") + 8'(ACTION - 10);

  (* no_rw_check, ram_style = "block" *)
  logic [WIDTH-1:0] memory[0:DEPTH-1];
  logic [WIDTH-1:0] read;

  if (INITIAL == 1) begin : loaded
    initial $readmemh({"initial_", DIGIT, ".hex"}, memory);
  end else begin : empty
    initial memory = '{default: '0};
  end

  always_ff @(posedge clk) begin
    if (write) memory[write_address] <= q_new;
    read <= memory[read_address];
    q    <= read;
  end
endmodule
