using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tensors.Simd;
using Coppice.Weights;

namespace Coppice.Cli.Bench;

/// <summary>Whether every product gives on this processor, at the width in use, the bits of its scalar twin.</summary>
static class KernelCheck
{
    const int Outputs = 70, Inputs = 512, Most = 7;

    /// <exception cref="CoppiceException">One does not.</exception>
    public static void Run(IReadOnlySet<string> kinds, WorkerPool pool)
    {
        using WorkerPool one = new(1);
        Random random = new(3);
        Tensor x = Tensor.From([Most, Inputs], [.. Enumerable.Range(0, Most * Inputs).Select(_ => random.NextSingle() - 0.5f)]);
        foreach (Weight weight in KernelBench.Weights(kinds, Outputs, Inputs))
            foreach (ActivationFormat activations in new[] { ActivationFormat.Float32, ActivationFormat.Int8 })
            {
                float[] twin;
                using (SimdLevel.Select(SimdLevel.Scalar))
                    twin = Product(weight, x, activations, one);
                if (!KernelSelfTest.SameBits(twin, Product(weight, x, activations, pool)))
                    throw new CoppiceException($"{weight.Kind} with {activations} activations: {SimdLevel.Active} does not give the bits of the scalar twin on this processor; set COPPICE_SIMD to a narrower width and report this");
            }
    }

    static float[] Product(Weight weight, Tensor x, ActivationFormat activations, WorkerPool pool) =>
        new Linear(weight).Forward(x, new ForwardContext(pool) { Activations = activations }).Data.ToArray();
}
