using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Coppice.Tensors.Simd;

/// <summary>Where the queries of one sequence stand: their rows in the batch, and the tokens before the first of them.</summary>
internal readonly record struct CachedQueries(Sequence Rows, int Past);

/// <summary>
/// softmax(q k^T / sqrt(width)) v against caches, one a sequence: query i of a sequence sees its keys 0 to past + i. The query heads of a group share
/// each key that is read. A score takes its products in the order of the head's numbers, an output those of the keys, with one rounding each, so
/// that the result depends neither on how many queries or sequences come at a time nor on threads.
/// </summary>
internal static unsafe class CachedAttention
{
    const int WorthSharing = 1 << 15;

    // Up to this many rows the cache is decoded in registers, with more into scratch, which several tiles of rows then read.
    const int FewRows = 8;

    /// <summary>Rows of a part: four tiles of the micro-kernel share what is decoded.</summary>
    const int BlockRows = 4 * MicroKernel.PanelRows;

    /// <summary>Keys that are decoded at a time; a multiple of 64.</summary>
    const int ChunkKeys = 256;

    /// <summary>The same for a few rows of 4-bit codes: what is decoded is read once more, and from the first cache.</summary>
    const int FewChunkKeys = 64;

    /// <summary>Keys whose values are fetched ahead.</summary>
    const int FetchedKeys = 32;

    const int Panel = KeyValueBlock.Panel;

    /// <summary>
    /// Adds keys and values [tokens, heads * width] to the caches and has their queries read them. With <see cref="KeyValueFormat.Int4"/> a query reads the group of tokens
    /// that it belongs to as halves and those before as codes, however many tokens come at a time: so that group is attended to before the next one is written.
    /// </summary>
    public static void Continue(
        WorkerPool pool, ReadOnlySpan<float> q, ReadOnlySpan<float> k, ReadOnlySpan<float> v, ReadOnlySpan<KeyValueBlock> caches, ReadOnlySpan<CachedQueries> sequences, AttentionShape shape, Span<float> y)
    {
        for (int i = 0; i < caches.Length; i++)
        {
            ((int start, int length), int past) = sequences[i];
            bool isGrouped = caches[i].Groups is not null;
            for (int at = 0; at < length;)
            {
                int count = isGrouped ? Math.Min(length - at, KeyValueGroups.Tokens - (past + at) % KeyValueGroups.Tokens) : length;
                int from = (start + at) * shape.KeyStride, first = (start + at) * shape.QueryStride;
                caches[i].Write(past + at, k.Slice(from, count * shape.KeyStride), v.Slice(from, count * shape.KeyStride));
                if (isGrouped)
                    Forward(pool, q.Slice(first, count * shape.QueryStride), caches.Slice(i, 1), [new CachedQueries(new Sequence(0, count), past + at)], shape, y.Slice(first, count * shape.QueryStride));
                at += count;
            }
        }
        if (!caches.IsEmpty && caches[0].Groups is null)
            Forward(pool, q, caches, sequences, shape, y);
    }

    /// <summary>Queries of several sequences side by side.</summary>
    /// <param name="pool">Threads that share sequences, heads and blocks of rows.</param>
    /// <param name="q">[tokens, heads * width].</param>
    /// <param name="caches">One a sequence, all of one format; the queries' own keys and values are in them.</param>
    /// <param name="sequences">Where each sequence's queries lie.</param>
    /// <param name="shape">Heads and their width.</param>
    /// <param name="y">[tokens, heads * width].</param>
    /// <exception cref="ArgumentException">Sizes do not fit.</exception>
    public static void Forward(WorkerPool pool, ReadOnlySpan<float> q, ReadOnlySpan<KeyValueBlock> caches, ReadOnlySpan<CachedQueries> sequences, AttentionShape shape, Span<float> y)
    {
        long pairs = Check(q.Length, caches, sequences, shape, y.Length);
        if (caches.IsEmpty)
            return;
        fixed (float* pq = q, py = y)
        {
            switch (caches[0].Format)
            {
                case KeyValueFormat.Float32:
                    Run<Float32Numbers>(pool, pq, caches, sequences, shape, py, pairs);
                    break;
                case KeyValueFormat.Float16:
                    Run<Float16Numbers>(pool, pq, caches, sequences, shape, py, pairs);
                    break;
                case KeyValueFormat.Int8:
                    Run<Int8Numbers>(pool, pq, caches, sequences, shape, py, pairs);
                    break;
                default:
                    Run<Int4Numbers>(pool, pq, caches, sequences, shape, py, pairs);
                    break;
            }
        }
    }

    static void Run<TN>(WorkerPool pool, float* q, ReadOnlySpan<KeyValueBlock> caches, ReadOnlySpan<CachedQueries> sequences, AttentionShape shape, float* y, long pairs)
        where TN : struct, IKeyValueNumbers
    {
        Job<TN> job = new() { Q = q, Y = y, Caches = caches, Sequences = sequences, Shape = shape, Threads = pairs * shape.QueryStride < WorthSharing ? 1 : pool.Threads };
        pool.Run(job.Threads, ref job);
    }

    static long Check(int q, ReadOnlySpan<KeyValueBlock> caches, ReadOnlySpan<CachedQueries> sequences, AttentionShape shape, int y)
    {
        if (shape.Heads <= 0 || shape.KeyValueHeads <= 0 || shape.Width <= 0 || shape.Heads % shape.KeyValueHeads != 0)
            throw new ArgumentException($"attention: {shape}, wanted positive sizes and heads that fall into groups");
        if (q != y || q % shape.QueryStride != 0 || caches.Length != sequences.Length)
            throw new ArgumentException($"attention: q {q}, y {y} numbers and {caches.Length} caches for {sequences.Length} sequences, {shape}");
        int tokens = q / shape.QueryStride;
        long pairs = 0;
        for (int i = 0; i < caches.Length; i++)
        {
            ((int start, int length), int past) = sequences[i];
            KeyValueBlock cache = caches[i];
            if (start < 0 || length < 1 || length > tokens - start || past < 0 || length > cache.Capacity - past)
                throw new ArgumentException($"attention: {length} queries from {start} of {tokens} behind {past} in a cache of {cache.Capacity}");
            if (cache.Heads != shape.KeyValueHeads || cache.Width != shape.Width || cache.Format != caches[0].Format)
                throw new ArgumentException($"attention: a {cache.Format} cache of {cache.Heads} heads of {cache.Width} for {shape} in {caches[0].Format}");
            if (cache.Groups is not null && past / KeyValueGroups.Tokens != (past + length - 1) / KeyValueGroups.Tokens)
                throw new ArgumentException($"attention: {length} queries behind {past} belong to several groups of {KeyValueGroups.Tokens} tokens; read one at a time");
            pairs += (long)length * (past + length);
        }
        return pairs;
    }

    ref struct Job<TN> : IJob where TN : struct, IKeyValueNumbers
    {
        public float* Q, Y;
        public ReadOnlySpan<KeyValueBlock> Caches;
        public ReadOnlySpan<CachedQueries> Sequences;
        public AttentionShape Shape;
        public int Threads;

        public readonly void Execute(int part)
        {
            switch (SimdLevel.Active)
            {
                case SimdLevel.Vector512:
                    Execute<Lanes512, Vector512<float>>(part);
                    break;
                case SimdLevel.Vector256:
                    Execute<Lanes256, Vector256<float>>(part);
                    break;
                case SimdLevel.Vector128:
                    Execute<Lanes128, Vector128<float>>(part);
                    break;
                default:
                    Execute<Lanes1, float>(part);
                    break;
            }
        }

        // Sequences, their heads and their blocks of rows are dealt out to the threads in turn.
        readonly void Execute<TL, TV>(int thread) where TL : struct, ILanes<TV> where TV : struct
        {
            int turn = 0;
            for (int i = 0; i < Sequences.Length; i++)
            {
                int rows = Sequences[i].Rows.Length * Shape.Group;
                for (int head = 0; head < Shape.KeyValueHeads; head++)
                    for (int row = 0; row < rows; row += BlockRows)
                        if (turn++ % Threads == thread)
                            new CachedBlock<TN, TL, TV>(Caches[i], head, Shape, Sequences[i], row, Math.Min(BlockRows, rows - row), Q, Y).Compute();
            }
        }
    }

    /// <summary>A block of rows of one sequence and key-value head: row r is query r / group with head r % group of the group.</summary>
    readonly ref struct CachedBlock<TN, TL, TV>(KeyValueBlock cache, int head, AttentionShape shape, CachedQueries sequence, int firstRow, int rows, float* q, float* y)
        where TN : struct, IKeyValueNumbers where TL : struct, ILanes<TV> where TV : struct
    {
        readonly byte* keyPanels = cache.Keys(head), valuePanels = cache.Values(head);
        readonly int keys = sequence.Past + (firstRow + rows - 1) / shape.Group + 1, width = shape.Width;

        bool IsScaled => cache.IsScaled;

        static bool IsPacked => TN.Bytes == 0;

        // Where the tokens begin that are read as halves.
        int Unrounded => cache.Groups is null ? int.MaxValue : sequence.Past / KeyValueGroups.Tokens * KeyValueGroups.Tokens;

        int Visible(int row) => sequence.Past + (firstRow + row) / shape.Group + 1;

        nint At(int row) => (nint)(sequence.Rows.Start + (firstRow + row) / shape.Group) * shape.QueryStride + (head * shape.Group + (firstRow + row) % shape.Group) * width;

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Compute()
        {
            // Whole tiles of 12 rows, and columns up to a whole four vectors of the widest kind.
            int room = (rows + MicroKernel.PanelRows - 1) / MicroKernel.PanelRows * MicroKernel.PanelRows, keyRoom = (keys + 63) & ~63, widthRoom = (width + 63) & ~63;
            int decoded = ChunkKeys * Math.Max(width, widthRoom);
            float* queries = Scratch.Rent(ScratchSlot.Attention, checked(room * (width + keyRoom + widthRoom) + decoded + MicroKernel.PanelRows * ChunkKeys));
            float* scores = queries + room * width, outputs = scores + (nint)room * keyRoom, chunk = outputs + room * widthRoom, weights = chunk + decoded;
            float* sums = stackalloc float[BlockRows];

            if (rows <= FewRows)
                FewScores(queries, scores, keyRoom, chunk);
            else
                Scores(queries, scores, keyRoom, chunk);
            for (int row = 0; row < rows; row++)
            {
                float* score = scores + (nint)row * keyRoom;
                int visible = Visible(row);
                if (IsScaled)
                    RowSoftmax.Scale<TL, TV>(score, cache.KeyScales(head), visible);
                if (shape.Softcap != 0)
                    RowSoftmax.Cap<TL, TV>(score, visible, shape.Scale / shape.Softcap);
                if (shape.Window != 0)
                    new Span<float>(score, Math.Max(0, visible - shape.Window)).Fill(float.NegativeInfinity);
                sums[row] = 1 / RowSoftmax.Run<TL, TV>(score, visible, shape.Scale);
                if (IsScaled)
                    RowSoftmax.Scale<TL, TV>(score, cache.ValueScales(head), visible);
                // A key that others of the block see weighs nothing here.
                new Span<float>(score + visible, keys - visible).Clear();
            }
            if (rows <= FewRows)
                FewOutputs(scores, keyRoom, outputs, widthRoom, chunk);
            else
                Outputs(scores, keyRoom, outputs, widthRoom, chunk, weights);
            for (int row = 0; row < rows; row++)
                Scaled(outputs + row * widthRoom, sums[row], width, y + At(row));
        }

        void FewScores(float* queries, float* scores, int ld, float* chunk)
        {
            for (int row = 0; row < rows; row++)
                new ReadOnlySpan<float>(q + At(row), width).CopyTo(new Span<float>(queries + row * width, width));
            if (!IsPacked)
                FewScores<TN>(queries, keyPanels, keys, scores, ld);
            for (int first = 0; IsPacked && first < keys; first += FewChunkKeys)
                FewScores<Float32Numbers>(queries, (byte*)DecodeKeys(first, Math.Min(first + FewChunkKeys, keys), chunk), Math.Min(FewChunkKeys, keys - first), scores + first, ld);
        }

        void FewScores<TM>(float* queries, byte* panels, int count, float* scores, int ld) where TM : struct, IKeyValueNumbers
        {
            for (int key = 0; key < count; key += CachedRows.Vectors * TL.Count)
                for (int row = 0; row < rows; row += CachedRows.MostRows<TL, TV>())
                    CachedRows.Product<TM, TL, TV>(
                        Math.Min(CachedRows.MostRows<TL, TV>(), rows - row), width, queries + row * width, width,
                        Key<TM>(panels, key), Key<TM>(panels, key + TL.Count), Key<TM>(panels, key + 2 * TL.Count), Key<TM>(panels, key + 3 * TL.Count),
                        CachedRows.Vectors * TL.Count * width * TM.Bytes, scores + (nint)row * ld + key, ld, Accumulate.Overwrite);
        }

        byte* Key<TM>(byte* panels, int key) where TM : struct, IKeyValueNumbers => panels + ((nint)(key / Panel) * Panel * width + key % Panel) * TM.Bytes;

        void FewOutputs(float* weights, int ld, float* outputs, int widthRoom, float* chunk)
        {
            if (!IsPacked)
                FewOutputs<TN>(weights, ld, valuePanels, cache.ValuePanelBytes, keys, outputs, widthRoom, Accumulate.Overwrite);
            for (int first = 0; IsPacked && first < keys; first += FewChunkKeys)
            {
                int count = Math.Min(FewChunkKeys, keys - first);
                DecodeValues(first, count, chunk);
                FewOutputs<Float32Numbers>(weights + first, ld, (byte*)chunk, (nint)count * Panel * sizeof(float), count, outputs, widthRoom, first == 0 ? Accumulate.Overwrite : Accumulate.Add);
            }
        }

        void FewOutputs<TM>(float* weights, int ld, byte* panels, nint pitch, int count, float* outputs, int widthRoom, Accumulate mode) where TM : struct, IKeyValueNumbers
        {
            for (int column = 0; column < width; column += CachedRows.Vectors * TL.Count)
                for (int row = 0; row < rows; row += CachedRows.MostRows<TL, TV>())
                    CachedRows.Product<TM, TL, TV>(
                        Math.Min(CachedRows.MostRows<TL, TV>(), rows - row), count, weights + (nint)row * ld, ld,
                        Value<TM>(panels, pitch, column), Value<TM>(panels, pitch, column + TL.Count), Value<TM>(panels, pitch, column + 2 * TL.Count), Value<TM>(panels, pitch, column + 3 * TL.Count),
                        FetchedKeys * Panel * TM.Bytes, outputs + row * widthRoom + column, widthRoom, mode);
        }

        // A vector past the last panel reads the first and is dropped.
        byte* Value<TM>(byte* panels, nint pitch, int column) where TM : struct, IKeyValueNumbers => panels + (column >= width ? 0 : column / Panel * pitch + column % Panel * TM.Bytes);

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Scores(float* queries, float* scores, int ld, float* chunk)
        {
            for (int row = 0; row < rows; row++)
            {
                float* from = q + At(row), to = queries + row / MicroKernel.PanelRows * width * MicroKernel.PanelRows + row % MicroKernel.PanelRows;
                for (int i = 0; i < width; i++)
                    to[i * MicroKernel.PanelRows] = from[i];
            }
            for (int first = 0; first < keys; first += ChunkKeys)
            {
                int last = Math.Min(first + ChunkKeys, keys);
                float* panels = DecodeKeys(first, last, chunk);
                for (int key = first; key < last; key += 2 * Panel)
                {
                    float* right = panels + (nint)(key - first) * width;
                    float* next = key + Panel < last ? right + Panel * width : right;
                    for (int row = 0; row < rows; row += MicroKernel.PanelRows)
                        MicroKernel.Tile<TL, TV>(
                            width, queries + row * width, right, next, scores + (nint)row * ld + key, scores + (nint)row * ld + key + Panel, ld,
                            Math.Min(MicroKernel.PanelRows, rows - row), Accumulate.Overwrite);
                }
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        void Outputs(float* scores, int ld, float* outputs, int widthRoom, float* chunk, float* weights)
        {
            for (int first = 0; first < keys; first += ChunkKeys)
            {
                int count = Math.Min(ChunkKeys, keys - first), panelFloats = count * Panel, panels = (width + Panel - 1) / Panel;
                nint pitch = TN.Bytes == sizeof(float) ? cache.ValuePanelBytes / sizeof(float) : panelFloats;
                float* values = DecodeValues(first, count, chunk);
                for (int row = 0; row < rows; row += MicroKernel.PanelRows)
                {
                    Packing.Rows(scores + (nint)row * ld + first, ld, Math.Min(MicroKernel.PanelRows, rows - row), count, MicroKernel.PanelRows, weights);
                    for (int panel = 0; panel < panels; panel += 2)
                    {
                        float* right = values + panel * pitch, output = outputs + row * widthRoom + panel * Panel;
                        MicroKernel.Tile<TL, TV>(
                            count, weights, right, panel + 1 < panels ? right + pitch : right, output, output + Panel, widthRoom,
                            Math.Min(MicroKernel.PanelRows, rows - row), first == 0 ? Accumulate.Overwrite : Accumulate.Add);
                    }
                }
            }
        }

        // Keys [panels][width][16] from a panel's first on.
        float* DecodeKeys(int first, int last, float* room)
        {
            int panels = (last - first + Panel - 1) / Panel, codes = IsPacked ? Math.Clamp((Unrounded - first) / Panel, 0, panels) : 0;
            if (!IsPacked)
                return Decode(keyPanels + (nint)first * width * TN.Bytes, panels * Panel * width, room);
            for (int panel = 0; panel < codes; panel++)
            {
                int group = (first + panel * Panel) / KeyValueGroups.Tokens;
                Int4Rows.Decode<TL, TV>(
                    keyPanels + (nint)(first / Panel + panel) * width * Int4Rows.RowBytes, cache.Groups is { } g ? g.KeyScales(head, group) : null, cache.Groups is { } h ? h.KeyZeros(head, group) : null,
                    width, room + (nint)panel * width * Panel);
            }
            if (codes < panels)
                Int4Rows.Widen<TL, TV>((Half*)cache.Groups!.Residual.Keys(head) + (nint)(first + codes * Panel - Unrounded) * width, (panels - codes) * Panel * width, room + (nint)codes * width * Panel);
            return room;
        }

        // Values [width / 16][count][16].
        float* DecodeValues(int first, int count, float* room)
        {
            if (TN.Bytes == sizeof(float))
                return (float*)(valuePanels + (nint)first * Panel * TN.Bytes);
            int codes = Math.Clamp(Unrounded - first, 0, count);
            for (int panel = 0; panel < (width + Panel - 1) / Panel; panel++)
            {
                float* to = room + (nint)panel * count * Panel;
                byte* from = valuePanels + panel * cache.ValuePanelBytes;
                if (!IsPacked)
                {
                    Decode(from + (nint)first * Panel * TN.Bytes, count * Panel, to);
                    continue;
                }
                int group = panel * Panel / KeyValueGroups.Tokens;
                Int4Rows.Decode<TL, TV>(
                    from + (nint)first * Int4Rows.RowBytes, cache.Groups is { } g ? g.ValueScales(head, group) + first : null, cache.Groups is { } h ? h.ValueZeros(head, group) + first : null, codes, to);
                if (codes < count)
                    Int4Rows.Widen<TL, TV>(
                        (Half*)(cache.Groups!.Residual.Values(head) + panel * cache.Groups.Residual.ValuePanelBytes) + (nint)(first + codes - Unrounded) * Panel, (count - codes) * Panel, to + (nint)codes * Panel);
            }
            return room;
        }

        // float32 is read where it lies.
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        static float* Decode(byte* stored, int count, float* room)
        {
            if (TN.Bytes == sizeof(float))
                return (float*)stored;
            for (int i = 0; i < count; i += TL.Count, stored += TL.Count * TN.Bytes)
                TL.Store(TN.Load<TL, TV>(stored), room + i);
            return room;
        }

        static void Scaled(float* from, float factor, int count, float* to)
        {
            int i = 0;
            for (; i <= count - TL.Count; i += TL.Count)
                TL.Store(TL.Multiply(TL.Load(from + i), TL.Broadcast(factor)), to + i);
            for (; i < count; i++)
                to[i] = from[i] * factor;
        }
    }
}
