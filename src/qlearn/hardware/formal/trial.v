// A trial of a flattened circuit for Icarus: clear, learn, stop, learn again; a line for each clock.
module trial;
  parameter CLOCKS = 700;
  reg clk = 0, rst = 1, valid = 0;
  reg [31:0] data = 0;
  accelerator dut (
      .clk(clk), .rst(rst), .s_axi_awaddr(6'h00), .s_axi_awvalid(valid), .s_axi_wdata(data),
      .s_axi_wstrb(4'b1111), .s_axi_wvalid(valid), .s_axi_bready(1'b1), .s_axi_araddr(6'h00),
      .s_axi_arvalid(1'b0), .s_axi_rready(1'b1));

  always #5 clk = !clk;
  always @(negedge clk) if (!rst) $display("%b", dut.trace);

  task control(input [31:0] value, input integer clocks);
    begin
      data  = value;
      valid = 1;
      @(negedge clk) valid = 0;
      repeat (clocks) @(negedge clk);
    end
  endtask

  initial begin
    repeat (8) @(negedge clk);
    rst = 0;
    repeat (40) @(negedge clk);
    control(2, 40);
    control(1, CLOCKS);
    control(0, 100);
    control(1, CLOCKS);
    $finish;
  end
endmodule
