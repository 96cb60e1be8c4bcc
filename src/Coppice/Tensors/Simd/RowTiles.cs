namespace Coppice.Tensors.Simd;

/// <summary>Cuts rows into tiles of six, four or two, of <paramref name="most"/> at most, and one where there is only one. The last tile may reach back over rows that are done already: the same numbers again.</summary>
internal struct RowTiles(int count, int most)
{
    int done;

    /// <summary>The next tile's first row and how many it has; false where no row is left.</summary>
    public bool Next(out int row, out int rows)
    {
        int left = Math.Min(count - done, most);
        rows = left > 4 ? 6 : left > 2 ? 4 : 2;
        while (rows > count)
            rows -= rows == 2 ? 1 : 2;
        row = Math.Min(done, count - rows);
        if (left <= 0)
            return false;
        done = row + rows;
        return true;
    }
}
