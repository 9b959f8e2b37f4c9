// The registers of the accelerator, behind an AXI4-Lite port.
//
//   0x00 CONTROL        bit 0 run, bit 1 clear (a pulse; counts while idle)
//   0x04 STATUS         bit 0 idle
//   0x08 ALPHA          in units of 2^-17, 0 to 131072
//   0x0c GAMMA          the same
//   0x10 EPSILON        in units of 2^-16, 0 to 65536
//   0x14 SEED           counts at the next clear
//   0x18 UPDATES        low half, of all rings, since the last clear
//   0x1c UPDATES        high half
//   0x20 TABLE_ADDRESS  {ring, agent, state, action}
//   0x24 TABLE_DATA     the Q value there, while idle; an error otherwise
//   0x28 EPISODES       ended, of all rings, since the last clear; wraps
//   0x3c VERSION
//
// One write and one read at a time; whole words only. What cannot be done is answered by SLVERR.
module host_port #(
    parameter int WIDTH = 16,
    parameter int RINGS = 1,
    parameter int ADDRESS_BITS = 12,
    parameter int COUNT_BITS = 1,
    parameter logic [17:0] ALPHA = 18'd65536,
    parameter logic [17:0] GAMMA = 18'd117965,
    parameter logic [16:0] EPSILON = 17'd6554,
    parameter logic [31:0] SEED = 32'd0,
    parameter logic [31:0] VERSION = 32'd0
) (
    input logic clk,
    input logic rst,

    input  logic [5:0]  s_axi_awaddr,
    input  logic        s_axi_awvalid,
    output logic        s_axi_awready,
    input  logic [31:0] s_axi_wdata,
    input  logic [3:0]  s_axi_wstrb,
    input  logic        s_axi_wvalid,
    output logic        s_axi_wready,
    output logic [1:0]  s_axi_bresp,
    output logic        s_axi_bvalid,
    input  logic        s_axi_bready,
    input  logic [5:0]  s_axi_araddr,
    input  logic        s_axi_arvalid,
    output logic        s_axi_arready,
    output logic [31:0] s_axi_rdata,
    output logic [1:0]  s_axi_rresp,
    output logic        s_axi_rvalid,
    input  logic        s_axi_rready,

    // To the rings.
    output logic                    run,
    output logic                    clear,
    output logic [17:0]             alpha,
    output logic [17:0]             one_minus_alpha,
    output logic [17:0]             alpha_gamma,
    output logic [16:0]             epsilon,
    output logic [31:0]             seed,
    output logic                    table_write,
    output logic [ADDRESS_BITS-1:0] table_address,
    output logic [WIDTH-1:0]        table_value,

    // From the rings.
    input logic                  rings_idle,
    input logic                  learning,        // ring 0 made an update; the others too
    input logic [COUNT_BITS-1:0] episodes_ended,
    input logic [WIDTH-1:0]      table_q
);
  typedef enum logic [3:0] {
    CONTROL = 4'h0, STATUS = 4'h1, ALPHA_R = 4'h2, GAMMA_R = 4'h3, EPSILON_R = 4'h4, SEED_R = 4'h5,
    UPDATES_LOW = 4'h6, UPDATES_HIGH = 4'h7, TABLE_ADDRESS = 4'h8, TABLE_DATA = 4'h9,
    EPISODES = 4'ha, VERSION_R = 4'hf
  } register_t;

  localparam logic [1:0] OKAY = 2'b00, SLVERR = 2'b10;
  // From the address of a value, through its ring and past all others, to this port.
  localparam int ANSWER_CLOCKS = RINGS + 6;
  localparam int WAIT_BITS = $clog2(ANSWER_CLOCKS + 1);

  // ---- Whether the rings stand still. Their answer is as old as the way past all of them.

  logic idle;
  logic [WAIT_BITS-1:0] stopping;
  assign idle = rings_idle && !run && stopping == '0;
  always_ff @(posedge clk) begin
    if (rst || run) stopping <= WAIT_BITS'(ANSWER_CLOCKS);
    else if (stopping != '0) stopping <= stopping - 1'b1;
  end

  // ---- Writes.

  logic write, refused;
  register_t written;
  logic [17:0] gamma;
  assign written       = register_t'(s_axi_awaddr[5:2]);
  assign write         = s_axi_awvalid && s_axi_wvalid && !s_axi_bvalid;
  assign s_axi_awready = write;
  assign s_axi_wready  = write;
  assign refused       = s_axi_wstrb != 4'b1111 || (written == TABLE_DATA && !idle);

  always_ff @(posedge clk) begin
    clear       <= 1'b0;
    table_write <= 1'b0;
    if (s_axi_bready) s_axi_bvalid <= 1'b0;
    if (write) begin
      s_axi_bvalid <= 1'b1;
      s_axi_bresp  <= refused ? SLVERR : OKAY;
    end
    if (write && !refused) begin
      case (written)
        CONTROL: begin
          run   <= s_axi_wdata[0];
          clear <= s_axi_wdata[1] && idle;
        end
        ALPHA_R:       alpha <= s_axi_wdata[17:0];
        GAMMA_R:       gamma <= s_axi_wdata[17:0];
        EPSILON_R:     epsilon <= s_axi_wdata[16:0];
        SEED_R:        seed <= s_axi_wdata;
        TABLE_ADDRESS: table_address <= s_axi_wdata[ADDRESS_BITS-1:0];
        TABLE_DATA: begin
          table_value <= s_axi_wdata[WIDTH-1:0];
          table_write <= 1'b1;
        end
        default: ;
      endcase
    end
    if (rst) begin
      s_axi_bvalid <= 1'b0;
      run          <= 1'b0;
      alpha        <= ALPHA;
      gamma        <= GAMMA;
      epsilon      <= EPSILON;
      seed         <= SEED;
    end
  end

  // ---- What is made of alpha and gamma. Nobody waits for it: an update comes a revolution after
  // the start at the soonest. So the multiplier may lie far away, some clocks of wire.

  logic [17:0] factor_alpha, factor_gamma;
  logic [35:0] multiplied, alpha_times_gamma, raised;
  delay #(.WIDTH(36), .STAGES(2)) to_multiplier (
      .clk, .value({alpha, gamma}), .delayed({factor_alpha, factor_gamma}));
  delay #(.WIDTH(36), .STAGES(2)) from_multiplier (
      .clk, .value(multiplied), .delayed(alpha_times_gamma));
  assign raised = alpha_times_gamma + 36'd65536;
  always_ff @(posedge clk) begin
    one_minus_alpha <= 18'd131072 - alpha;
    multiplied      <= factor_alpha * factor_gamma;
    alpha_gamma     <= raised[34:17];
  end

  // ---- Counters.

  logic [63:0] updates;
  logic [31:0] episodes;
  always_ff @(posedge clk) begin
    if (learning) updates <= updates + 64'(RINGS);
    episodes <= episodes + 32'(episodes_ended);
    if (rst || clear) begin
      updates  <= '0;
      episodes <= '0;
    end
  end

  // ---- Reads; a value of the tables takes its time.

  logic reading;
  register_t read;
  logic [31:0] value;
  logic [WAIT_BITS-1:0] left;
  assign s_axi_arready = !reading && !s_axi_rvalid;

  always_ff @(posedge clk) begin
    if (s_axi_arready && s_axi_arvalid) begin
      reading <= 1'b1;
      read    <= register_t'(s_axi_araddr[5:2]);
      left    <= register_t'(s_axi_araddr[5:2]) == TABLE_DATA ? WAIT_BITS'(ANSWER_CLOCKS) : '0;
    end else if (reading) begin
      left <= left - 1'b1;
      if (left == '0) begin
        reading      <= 1'b0;
        s_axi_rvalid <= 1'b1;
        s_axi_rdata  <= value;
        s_axi_rresp  <= read == TABLE_DATA && !idle ? SLVERR : OKAY;
      end
    end else if (s_axi_rready) begin
      s_axi_rvalid <= 1'b0;
    end
    if (rst) begin
      reading      <= 1'b0;
      s_axi_rvalid <= 1'b0;
    end
  end

  always_comb begin
    case (read)
      CONTROL:       value = {31'b0, run};
      STATUS:        value = {31'b0, idle};
      ALPHA_R:       value = {14'b0, alpha};
      GAMMA_R:       value = {14'b0, gamma};
      EPSILON_R:     value = {15'b0, epsilon};
      SEED_R:        value = seed;
      UPDATES_LOW:   value = updates[31:0];
      UPDATES_HIGH:  value = updates[63:32];
      TABLE_ADDRESS: value = 32'(table_address);
      TABLE_DATA:    value = 32'($signed(table_q));
      EPISODES:      value = episodes;
      VERSION_R:     value = VERSION;
      default:       value = '0;
    endcase
  end

  logic unused;
  assign unused = &{s_axi_awaddr[1:0], s_axi_araddr[1:0], raised[35], raised[16:0]};
endmodule
