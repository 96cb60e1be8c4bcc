using System.Numerics.Tensors;
using Coppice.Training;

namespace Coppice.Federation;

/// <summary>What strategies add to clients' gradients: mu (w - received) (FedProx) and c - c_i (SCAFFOLD). Tensors that stay with the client are left as they are.</summary>
/// <param name="received">The model as it came.</param>
/// <param name="proximal">mu.</param>
/// <param name="server">c, or null.</param>
/// <param name="client">c_i, or null.</param>
sealed class GradientCorrection(ParameterSet received, double proximal, ParameterSet? server, ParameterSet? client)
{
    public void Apply(IReadOnlyList<Parameter> parameters)
    {
        foreach (Parameter parameter in parameters)
        {
            if (!received.Tensors.TryGetValue(parameter.Name, out Coppice.Tensors.Tensor? before))
                continue;
            Span<float> gradient = parameter.Tensor.Grad!.Data;
            if (proximal > 0)
            {
                TensorPrimitives.MultiplyAdd(parameter.Tensor.Data, (float)proximal, gradient, gradient);
                TensorPrimitives.MultiplyAdd(before.Data, (float)-proximal, gradient, gradient);
            }
            if (server is null || client is null)
                continue;
            TensorPrimitives.Add(gradient, server.Tensors[parameter.Name].Data, gradient);
            TensorPrimitives.Subtract(gradient, client.Tensors[parameter.Name].Data, gradient);
        }
    }
}
