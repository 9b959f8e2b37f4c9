// The accelerator behind four pins, to be placed and routed by itself.
//
// A chip has fewer pins than a bus has wires, and pins lie where they lie: what would be measured is
// the way to them. So every input of the host port comes out of a shift register, and all outputs
// leave as one bit. Every input can be anything and every output counts: nothing of the circuit
// can be left out.
module few_pins (
    input  logic clk,
    input  logic rst,
    input  logic inward,
    output logic outward
);
  localparam int IN = 6 + 1 + 32 + 4 + 1 + 1 + 6 + 1 + 1;
  localparam int OUT = 1 + 1 + 2 + 1 + 1 + 32 + 2 + 1;

  logic reset;
  logic [IN-1:0] inputs;
  logic [OUT-1:0] outputs, outputs_seen;
  logic [OUT/8:0] parts;

  always_ff @(posedge clk) begin
    reset        <= rst;
    inputs       <= {inputs[IN-2:0], inward};
    outputs_seen <= outputs;
    for (int i = 0; i <= OUT / 8; i++) parts[i] <= ^(outputs_seen >> 8 * i & OUT'(255));
    outward <= ^parts;
  end

  accelerator circuit (
      .clk, .rst(reset),
      .s_axi_awaddr(inputs[5:0]), .s_axi_awvalid(inputs[6]), .s_axi_wdata(inputs[38:7]),
      .s_axi_wstrb(inputs[42:39]), .s_axi_wvalid(inputs[43]), .s_axi_bready(inputs[44]),
      .s_axi_araddr(inputs[50:45]), .s_axi_arvalid(inputs[51]), .s_axi_rready(inputs[52]),
      .s_axi_awready(outputs[0]), .s_axi_wready(outputs[1]), .s_axi_bresp(outputs[3:2]),
      .s_axi_bvalid(outputs[4]), .s_axi_arready(outputs[5]), .s_axi_rdata(outputs[37:6]),
      .s_axi_rresp(outputs[39:38]), .s_axi_rvalid(outputs[40]));
endmodule
