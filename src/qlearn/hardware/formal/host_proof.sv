// The port keeps AXI4-Lite's word, whatever a host does: a response stands, unchanged, until it is
// taken; there is none without a request, and one to every request before long; and tables are
// written, streams cleared, only while the rings stand still.
module host_proof #(
    parameter int RINGS = 2
) (
    input logic        clk,
    input logic        rst,
    input logic [5:0]  awaddr,
    input logic        awvalid,
    input logic [31:0] wdata,
    input logic [3:0]  wstrb,
    input logic        wvalid,
    input logic        bready,
    input logic [5:0]  araddr,
    input logic        arvalid,
    input logic        rready,
    input logic        rings_idle,
    input logic        learning,
    input logic [1:0]  episodes_ended,
    input logic [7:0]  table_q
);
  localparam int PATIENCE = RINGS + 8;  // clocks from the request of a read to its response

  logic awready, wready, bvalid, arready, rvalid, clear, table_write;
  logic [1:0] bresp, rresp;
  logic [31:0] rdata;
  host_port #(.WIDTH(8), .RINGS(RINGS), .ADDRESS_BITS(8), .COUNT_BITS(2)) port (
      .clk, .rst,
      .s_axi_awaddr(awaddr), .s_axi_awvalid(awvalid), .s_axi_awready(awready),
      .s_axi_wdata(wdata), .s_axi_wstrb(wstrb), .s_axi_wvalid(wvalid), .s_axi_wready(wready),
      .s_axi_bresp(bresp), .s_axi_bvalid(bvalid), .s_axi_bready(bready),
      .s_axi_araddr(araddr), .s_axi_arvalid(arvalid), .s_axi_arready(arready),
      .s_axi_rdata(rdata), .s_axi_rresp(rresp), .s_axi_rvalid(rvalid), .s_axi_rready(rready),
      .run(), .clear, .alpha(), .one_minus_alpha(), .alpha_gamma(), .epsilon(), .seed(),
      .table_write, .table_address(), .table_value(),
      .rings_idle, .learning, .episodes_ended, .table_q);

  // Requests that have no response yet, and for how long the reading one has waited.
  logic to_write = 1'b0, to_read = 1'b0;
  logic [7:0] waited = '0;
  // The clock before.
  logic began = 1'b0, was_idle;
  logic before_bvalid, before_bready, before_rvalid, before_rready;
  logic [1:0] before_bresp, before_rresp;
  logic [31:0] before_rdata;
  always_ff @(posedge clk) begin
    began         <= !rst;
    was_idle      <= port.idle;
    before_bvalid <= bvalid;
    before_bready <= bready;
    before_bresp  <= bresp;
    before_rvalid <= rvalid;
    before_rready <= rready;
    before_rresp  <= rresp;
    before_rdata  <= rdata;
    if (awvalid && awready) to_write <= 1'b1;
    else if (bvalid && bready) to_write <= 1'b0;
    if (arvalid && arready) to_read <= 1'b1;
    else if (rvalid && rready) to_read <= 1'b0;
    waited <= to_read && !rvalid ? waited + 1'b1 : '0;
    if (rst) begin
      to_write <= 1'b0;
      to_read  <= 1'b0;
      waited   <= '0;
    end
  end

  logic first = 1'b1;
  always_ff @(posedge clk) first <= 1'b0;

  always_comb begin
    if (first) assume (rst);
    if (began) begin
      if (before_bvalid && !before_bready) assert (bvalid && bresp == before_bresp);
      if (before_rvalid && !before_rready)
        assert (rvalid && rresp == before_rresp && rdata == before_rdata);
      assert (bvalid == to_write);
      assert (!(rvalid && !to_read));
      assert (port.reading == (to_read && !rvalid));
      assert (!(to_read && arready) && !(to_write && awready));
      assert (awready == wready);
      assert (32'(waited) <= PATIENCE);
      if (port.reading) assert (32'(waited) + 32'(port.left) <= RINGS + 6);
      if (clear || table_write) assert (was_idle);
    end
  end
endmodule
