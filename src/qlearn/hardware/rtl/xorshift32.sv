// One random stream (Marsaglia, "Xorshift RNGs", 2003; shifts 13, 17, 5).
//
// After `load` the register holds the seed; two clocks later it holds the first word after the
// seed, ready to be used, and every `advance` brings the next. So the shifts and whatever reads
// the word stand in different clocks.
module xorshift32 (
    input  logic        clk,
    input  logic        load,
    input  logic [31:0] seed,
    input  logic        advance,
    output logic [31:0] word
);
  function automatic logic [31:0] after(input logic [31:0] x);
    logic [31:0] y;
    y = x ^ (x << 13);
    y = y ^ (y >> 17);
    return y ^ (y << 5);
  endfunction

  logic seeded, mended;

  always_ff @(posedge clk) begin
    seeded <= load;
    mended <= seeded;
    if (load) word <= seed;
    else if (seeded) word[0] <= word[0] | (word == '0);  // a stream of zeros would never move
    else if (mended | advance) word <= after(word);
  end
endmodule
