using Coppice.Weights;

namespace Coppice.Models;

/// <summary>A layer around one matrix. Setting <see cref="Weight"/> is the seam that every compressor uses.</summary>
public abstract class MatrixLayer(Weight weight) : Layer
{
    Weight weight = weight;

    /// <summary>The magnitude at which <see cref="ActivationFormat.Int8Static"/> cuts off what is multiplied with the matrix; null: not calibrated.</summary>
    public float? InputRange { get; set; }

    /// <summary>Whether what is multiplied with the matrix stays float32 where that of others is rounded.</summary>
    public bool KeepsFloatInputs { get; set; }

    /// <summary>The matrix [outputs, inputs] (an embedding's: [vocabulary, width]), however it is stored. A new one has the same shape.</summary>
    public virtual Weight Weight
    {
        get => weight;
        set => weight = value.Shape == weight.Shape
            ? value
            : throw new ArgumentException($"Weight: {value.Shape} in place of {weight.Shape}, shapes differ");
    }
}
