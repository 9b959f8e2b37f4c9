// A value, STAGES clocks later, 3 or more, for what is wide or waits long.
//
// A memory whose places are written in turn, each just after what it held has been read: it takes a
// fraction of the registers of `delay`, and of the wires between them.
module long_delay #(
    parameter int WIDTH  = 1,
    parameter int STAGES = 3
) (
    input  logic             clk,
    input  logic [WIDTH-1:0] value,
    output logic [WIDTH-1:0] delayed
);
  localparam int PLACES = STAGES - 1;  // and the register behind them
  localparam int PLACE_BITS = $clog2(PLACES);

  (* ram_style = "distributed" *)
  logic [WIDTH-1:0] waiting[0:PLACES-1];
  logic [PLACE_BITS-1:0] place;
  initial place = '0;

  always_ff @(posedge clk) begin
    delayed        <= waiting[place];
    waiting[place] <= value;
    place          <= place == PLACE_BITS'(PLACES - 1) ? '0 : place + 1'b1;
  end
endmodule
