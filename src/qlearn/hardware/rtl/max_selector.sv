// The largest of N signed values and the lowest index it stands at, LEVELS clocks later.
//
// A tree of comparators with registers after every level: one comparison is all that has to
// happen between two clocks, however many values there are. The right side of a comparison wins
// only if it is strictly larger: that is what makes the lowest index win ties.
module max_selector #(
    parameter  int N          = 4,
    parameter  int WIDTH      = 16,
    localparam int INDEX_BITS = N > 1 ? $clog2(N) : 1,
    localparam int LEVELS     = N > 1 ? $clog2(N) : 1
) (
    input  logic                         clk,
    input  logic        [N-1:0][WIDTH-1:0] values,
    output logic signed [WIDTH-1:0]      largest,
    output logic        [INDEX_BITS-1:0] index
);
  localparam int LEAVES = 1 << LEVELS;

  // Level l has LEAVES >> l places, and the first `alive` of them hold a value.
  logic [LEVELS:0][LEAVES-1:0][WIDTH-1:0]      value_at;
  logic [LEVELS:0][LEAVES-1:0][INDEX_BITS-1:0] index_at;

  for (genvar i = 0; i < LEAVES; i++) begin : leaf
    assign value_at[0][i] = i < N ? values[i < N ? i : 0] : '0;
    assign index_at[0][i] = INDEX_BITS'(i);
  end

  for (genvar level = 0; level < LEVELS; level++) begin : row
    localparam int ALIVE = (N + (1 << level) - 1) >> level;
    for (genvar i = 0; i < LEAVES; i++) begin : place
      if (2 * i + 1 < ALIVE) begin : comparator
        logic right_wins;
        assign right_wins = $signed(value_at[level][2*i+1]) > $signed(value_at[level][2*i]);
        always_ff @(posedge clk) begin
          value_at[level+1][i] <= right_wins ? value_at[level][2*i+1] : value_at[level][2*i];
          index_at[level+1][i] <= right_wins ? index_at[level][2*i+1] : index_at[level][2*i];
        end
      end else if (2 * i < ALIVE) begin : alone
        always_ff @(posedge clk) begin
          value_at[level+1][i] <= value_at[level][2*i];
          index_at[level+1][i] <= index_at[level][2*i];
        end
      end else begin : nobody
        assign value_at[level+1][i] = '0;
        assign index_at[level+1][i] = '0;
      end
    end
  end

  assign largest = value_at[LEVELS][0];
  assign index   = index_at[LEVELS][0];
endmodule
