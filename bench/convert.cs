#:project Grove/Grove.csproj
#:property PublishAot=false
// Writes a random checkpoint of a Llama's shapes for conversions to be measured on: dotnet run bench/convert.cs OUT [GB] [f16|bf16]
using System.Runtime.InteropServices;
using Coppice.Formats;
using Coppice.Text;

string output = args[0];
double gigabytes = args.Length > 1 ? double.Parse(args[1], System.Globalization.CultureInfo.InvariantCulture) : 2;
DType type = args.Length > 2 && args[2] == "bf16" ? DType.BF16 : DType.F16;
const int Width = 2048, Inner = 5632, Vocabulary = 32000, KeyValueWidth = 512;
long layerBytes = 2L * (2 * Width * Width + 2 * KeyValueWidth * Width + 3 * Width * Inner), tableBytes = 2L * Vocabulary * Width;
int layers = (int)Math.Ceiling((gigabytes * 1e9 - 2 * tableBytes) / layerBytes);
Directory.CreateDirectory(output);
File.WriteAllText(Path.Combine(output, "config.json"), $$"""
    {"model_type": "llama", "hidden_size": {{Width}}, "intermediate_size": {{Inner}}, "num_hidden_layers": {{layers}}, "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": {{Vocabulary}},
     "max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "tie_word_embeddings": false, "torch_dtype": "{{(type == DType.F16 ? "float16" : "bfloat16")}}"}
    """);
BpeTrainer.Train(["a"], new BpeTraining { VocabularySize = 257 }).Save(output);
List<TensorSource> tensors = [Matrix("model.embed_tokens", Vocabulary, Width), Matrix("lm_head", Vocabulary, Width), Gain("model.norm")];
for (int layer = 0; layer < layers; layer++)
{
    string name = $"model.layers.{layer}.";
    tensors.AddRange([Gain(name + "input_layernorm"), Gain(name + "post_attention_layernorm"), Matrix(name + "self_attn.q_proj", Width, Width), Matrix(name + "self_attn.k_proj", KeyValueWidth, Width),
        Matrix(name + "self_attn.v_proj", KeyValueWidth, Width), Matrix(name + "self_attn.o_proj", Width, Width), Matrix(name + "mlp.gate_proj", Inner, Width), Matrix(name + "mlp.up_proj", Inner, Width), Matrix(name + "mlp.down_proj", Width, Inner)]);
}
SafeTensorsWriter.WriteFolder(output, tensors);
Console.WriteLine($"{output}: {layers} blocks, {tensors.Sum(tensor => tensor.ByteCount):N0} bytes");

// Numbers of size 0.02 to 0.04 and either sign, by their bits: what they are does not matter, only that they are finite.
TensorSource Matrix(string name, int rows, int columns) => new(name + ".weight", type, [rows, columns], stream =>
{
    Random random = new(rows + columns);
    ushort[] row = new ushort[columns];
    (int mantissa, ushort exponent) = type == DType.F16 ? (0x83FF, (ushort)0x2400) : (0x807F, (ushort)0x3C80);
    for (int i = 0; i < rows; i++)
    {
        random.NextBytes(MemoryMarshal.AsBytes(row.AsSpan()));
        foreach (ref ushort bits in row.AsSpan())
            bits = (ushort)(bits & mantissa | exponent);
        stream.Write(MemoryMarshal.AsBytes(row.AsSpan()));
    }
});

TensorSource Gain(string name) => TensorSource.Made(name + ".weight", type, [Width], () => Enumerable.Repeat(type == DType.F16 ? (ushort)0x3C00 : (ushort)0x3F80, Width).ToArray());
