using Coppice.Compression.Quantize;
using Coppice.Tensors;
using Coppice.Weights;
using Coppice.Weights.Blocks;

namespace Coppice.Compression;

/// <summary>One matrix on the bench: the steps of a recipe edit it in turn, and it is packed once, at the end.</summary>
public sealed class LayerWork
{
    /// <summary>Work on a matrix [rows, columns] whose numbers are <paramref name="dense"/>.</summary>
    public LayerWork(string name, int rows, int columns, float[] dense, WorkerPool pool)
    {
        if (dense.Length != (long)rows * columns)
            throw new ArgumentException($"LayerWork: {dense.Length} numbers for {name} [{rows}, {columns}]");
        (Name, Rows, Columns, Original, Dense, Pool) = (name, rows, columns, dense, dense, pool);
    }

    /// <summary>The matrix's full name.</summary>
    public string Name { get; }

    /// <summary>Outputs.</summary>
    public int Rows { get; }

    /// <summary>Inputs.</summary>
    public int Columns { get; }

    /// <summary>The numbers before any step, row-major [rows, columns]: what errors are measured against.</summary>
    public float[] Original { get; }

    /// <summary>The numbers as they are now, before any rounding. A step that moves them puts a new array here; what is only masked is still in it.</summary>
    public float[] Dense { get; set; }

    /// <summary>What is kept, one a number; null while nothing is pruned.</summary>
    public bool[]? Mask { get; set; }

    /// <summary>The pattern that <see cref="Mask"/> follows, or null.</summary>
    public SparsityPattern? Pattern { get; set; }

    /// <summary>Codes, scales and zero points; null while nothing is quantized.</summary>
    public Grid? Grid { get; set; }

    /// <summary>Of how many inputs <see cref="Grid"/> holds the Haar coefficients together; 0 where it holds weights.</summary>
    public int Wavelet { get; set; }

    /// <summary>The GGUF block type to store, or null.</summary>
    public BlockFormat? Block { get; set; }

    /// <summary>The 16 bits to store, where a step has chosen; null: f16, or a mask with it where many are zeros.</summary>
    public CastType? Cast { get; set; }

    /// <summary>The parts of those blocks where a step has settled them.</summary>
    internal BlockGrid? Parts { get; set; }

    /// <summary>What calibration saw; null where no step and no report needs it.</summary>
    public InputStatistics? Inputs { get; init; }

    /// <summary>What its pruning step knows from a look at the whole model; null where the step takes none.</summary>
    internal Prune.IWeightScores? Scores { get; init; }

    /// <summary>Threads for the work.</summary>
    public WorkerPool Pool { get; }

    /// <summary>Draws that depend on the run's seed and the matrix's name alone.</summary>
    public Random Random { get; init; } = new(0);

    /// <summary>What the user should know.</summary>
    public List<string> Warnings { get; } = [];

    /// <summary>Stops the work.</summary>
    public CancellationToken Cancel { get; init; }

    /// <summary><see cref="Dense"/> with zeros where the mask prunes: itself where it has them, or a copy.</summary>
    public float[] Masked()
    {
        bool isMasked = true;
        for (int i = 0; Mask is not null && isMasked && i < Mask.Length; i++)
            isMasked = Mask[i] || Dense[i] == 0;
        if (isMasked)
            return Dense;
        float[] masked = [.. Dense];
        for (int i = 0; i < masked.Length; i++)
            if (!Mask![i])
                masked[i] = 0;
        return masked;
    }
}
