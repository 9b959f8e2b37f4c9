// (word * COUNT) >> 16: a number from 0 to COUNT - 1, all as likely as 2^16 chances allow.
//
// COUNT is a constant, so the product is a few shifted words added, and the multipliers of the
// chip stay free for the update.
module scale #(
    parameter int COUNT = 4,
    parameter int BITS  = 2
) (
    input  logic [15:0]     word,
    output logic [BITS-1:0] number
);
  localparam int WIDTH = 16 + BITS;

  logic [WIDTH-1:0] product;
  always_comb begin
    product = '0;
    for (int i = 0; i <= BITS; i++) if (COUNT[i]) product += WIDTH'(word) << i;
  end
  assign number = product[WIDTH-1:16];

  logic unused;
  assign unused = ^product[15:0];
endmodule
