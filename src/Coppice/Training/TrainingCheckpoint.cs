using System.Globalization;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Training;

/// <summary>A run's whole state in one safetensors file: parameters, optimizer, masks, step, and a signature of what was asked for.</summary>
static class TrainingCheckpoint
{
    /// <summary>Names a run: another text, tokenizer, start model or option is another run, and so is another model of those that take part without training. Taken before the first step.</summary>
    public static string Signature(Optimizer optimizer, TokenWindows windows, TrainingOptions options, IEnumerable<Model> frozen)
    {
        StringBuilder text = new();
        text.Append(options with { CheckpointEvery = 0, ValidateEvery = 0, Activations = KeptActivations.All }).AppendJoin(' ', options.Pruning?.Targets ?? options.Quantization?.Matrices ?? []).Append('\n').Append(windows.Hash()).Append('\n');
        foreach (Parameter parameter in optimizer.Parameters)
            text.Append(parameter.Name).Append(parameter.Tensor.Shape).Append(' ')
                .Append(Convert.ToHexStringLower(SHA256.HashData(MemoryMarshal.AsBytes(parameter.Tensor.Data)))).Append('\n');
        foreach (Model model in frozen)
            Append(text, model);
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text.ToString())));
    }

    static void Append(StringBuilder text, Model model)
    {
        foreach ((string name, MatrixLayer layer) in model.Matrices())
        {
            using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            float[] row = new float[layer.Weight.Columns];
            for (int i = 0; i < layer.Weight.Rows; i++)
            {
                layer.Weight.Unpack(i, row);
                hash.AppendData(MemoryMarshal.AsBytes(row.AsSpan()));
            }
            text.Append(name).Append(layer.Weight.Shape).Append(layer is Linear { Adapter.Scale: var scale } ? scale : 0).Append(' ').Append(Convert.ToHexStringLower(hash.GetHashAndReset())).Append('\n');
        }
        foreach ((string name, Tensor vector) in model.AllVectors())
            text.Append(name).Append(' ').Append(Convert.ToHexStringLower(SHA256.HashData(MemoryMarshal.AsBytes(vector.Data)))).Append('\n');
    }

    /// <summary>Writes the state, whole or not at all.</summary>
    public static void Save(string path, Trainer trainer, string signature) =>
        SafeTensorsWriter.WriteFile(path, trainer.State.Select(part => TensorSource.Floats(part.Name, DType.F32, part.Tensor)), new Dictionary<string, string>
        {
            ["step"] = trainer.Optimizer.StepsTaken.ToString(CultureInfo.InvariantCulture),
            ["signature"] = signature,
        });

    /// <summary>Reads the state back.</summary>
    /// <exception cref="CoppiceException">The file is damaged or belongs to another run.</exception>
    public static void Restore(string path, Trainer trainer, string signature)
    {
        using SafeTensors file = SafeTensors.Open(path);
        if (file.Metadata.GetValueOrDefault("signature") != signature)
            throw new CoppiceException($"{path}: this checkpoint is of another run (other text, model, seed or options); delete it or name another output");
        foreach ((string name, Tensor tensor) in trainer.State)
        {
            file.Find(name).ReadFloats(0, tensor.Data);
            tensor.MarkChanged();
        }
        trainer.Optimizer.StepsTaken = int.Parse(file.Metadata["step"], CultureInfo.InvariantCulture);
    }
}
