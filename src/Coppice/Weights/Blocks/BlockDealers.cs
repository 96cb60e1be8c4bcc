using System.Runtime.CompilerServices;

namespace Coppice.Weights.Blocks;

/// <summary>Q8_0 to <see cref="Int8Panels{TS}"/>: two blocks a block.</summary>
internal readonly unsafe struct Q8Dealer : IBlockDealer<Q8_0>
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Deal(Q8_0* rows, int blocksPerRow, int count, int lanes, byte* block)
    {
        for (int half = 0; half < Math.Min(count, 2); half++)
        {
            Q8_0* from = rows + half;
            ushort* scale = (ushort*)block + half * IntegerPacking.Lanes;
            uint* codes = (uint*)(block + Int8Panels<Each32>.CodesAt) + half * 8 * IntegerPacking.Lanes;
            for (int lane = 0; lane < lanes; lane++, from += blocksPerRow)
            {
                scale[lane] = *(ushort*)from;
                uint* four = (uint*)&from->Values;
                for (int j = 0; j < 8; j++)
                    codes[j * IntegerPacking.Lanes + lane] = four[j];
            }
        }
    }
}

/// <summary>Q4_0 to <see cref="Int4Panels{TS}"/>: two blocks a block. Of a stored block the low four bits are inputs 0 to 15; of a panel's they are the first stored block.</summary>
internal readonly unsafe struct Q4Dealer : IBlockDealer<Q4_0>
{
    const uint Low = 0x0f0f0f0f;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Deal(Q4_0* rows, int blocksPerRow, int count, int lanes, byte* block)
    {
        Q4_0 none = default;
        Q4_0* first = rows, second = count > 1 ? rows + 1 : &none;
        int stride = count > 1 ? blocksPerRow : 0;
        ushort* scales = (ushort*)block;
        uint* codes = (uint*)(block + Int4Panels<Each32>.CodesAt);
        for (int lane = 0; lane < lanes; lane++, first += blocksPerRow, second += stride)
        {
            (scales[lane], scales[IntegerPacking.Lanes + lane]) = (*(ushort*)first, *(ushort*)second);
            uint* a = (uint*)&first->Values, b = (uint*)&second->Values;
            for (int j = 0; j < 4; j++)
            {
                codes[j * IntegerPacking.Lanes + lane] = a[j] & Low | (b[j] & Low) << 4;
                codes[(j + 4) * IntegerPacking.Lanes + lane] = a[j] >> 4 & Low | b[j] & ~Low;
            }
        }
    }
}

/// <summary>Q4_K to <see cref="Q4KPanels"/>: a block a block, its codes four by four.</summary>
internal readonly unsafe struct Q4KDealer : IBlockDealer<Q4_K>
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Deal(Q4_K* rows, int blocksPerRow, int count, int lanes, byte* block)
    {
        ushort* halves = (ushort*)block;
        byte* scales = block + Q4KPanels.ScalesAt, mins = block + Q4KPanels.MinsAt;
        uint* codes = (uint*)(block + Q4KPanels.CodesAt);
        for (int lane = 0; lane < lanes; lane++, rows += blocksPerRow)
        {
            (halves[lane], halves[IntegerPacking.Lanes + lane]) = (((ushort*)rows)[0], ((ushort*)rows)[1]);
            for (int group = 0; group < 8; group++)
            {
                (int scale, int min) = rows->GroupScales.Of(group);
                (scales[group * IntegerPacking.Lanes + lane], mins[group * IntegerPacking.Lanes + lane]) = ((byte)scale, (byte)min);
            }
            uint* four = (uint*)&rows->Values;
            for (int j = 0; j < 32; j++)
                codes[j * IntegerPacking.Lanes + lane] = four[j];
        }
    }
}

/// <summary>Q6_K to <see cref="Q6KPanels"/>: a block a block, its codes four by four.</summary>
internal readonly unsafe struct Q6KDealer : IBlockDealer<Q6_K>
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Deal(Q6_K* rows, int blocksPerRow, int count, int lanes, byte* block)
    {
        ushort* scale = (ushort*)block;
        byte* groups = block + Q6KPanels.ScalesAt;
        uint* lows = (uint*)(block + Q6KPanels.LowAt), highs = (uint*)(block + Q6KPanels.HighAt);
        for (int lane = 0; lane < lanes; lane++, rows += blocksPerRow)
        {
            scale[lane] = *(ushort*)&rows->Scale;
            byte* group = (byte*)&rows->GroupScales;
            for (int i = 0; i < 16; i++)
                groups[i * IntegerPacking.Lanes + lane] = group[i];
            uint* low = (uint*)&rows->Low, high = (uint*)&rows->High;
            for (int j = 0; j < 32; j++)
                lows[j * IntegerPacking.Lanes + lane] = low[j];
            for (int j = 0; j < 16; j++)
                highs[j * IntegerPacking.Lanes + lane] = high[j];
        }
    }
}
