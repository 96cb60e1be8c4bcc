#:project Grove/Grove.csproj
#:property PublishAot=false
// What a narrow key-value cache costs: KL divergence in nats a token against the float32 cache, on documents that the model has not seen.
//   dotnet run -c Release bench/cache-quality.cs
using System.Numerics.Tensors;
using Coppice.Inference;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Text;
using Tensor = Coppice.Tensors.Tensor;

const int Windows = 64, Length = 512;
using WorkerPool pool = new(Environment.ProcessorCount);
LanguageModel grove = LanguageModel.Load(args.Length > 0 ? args[0] : "assets/grove");
int length = Math.Min(Length, grove.Model.ContextLength), vocabulary = grove.Model.VocabularySize;
List<int> ids = [];
foreach (Document document in Corpus.Open("sdk:test").Documents)
    if (ids.Count < Windows * length)
        grove.Tokenizer.Encode(document.Text, ids);
int[] text = [.. ids];
ForwardContext context = new(pool);
foreach (KeyValueFormat format in new[] { KeyValueFormat.Float16, KeyValueFormat.Int8, KeyValueFormat.Int4, KeyValueFormat.Int4Token })
{
    List<double> divergences = [];
    long agree = 0;
    for (int window = 0; window < Windows; window++)
    {
        ReadOnlySpan<int> tokens = text.AsSpan(window * length, length);
        double[][] exact = Logs(tokens, KeyValueFormat.Float32), narrow = Logs(tokens, format);
        for (int i = 0; i < exact.Length; i++)
        {
            double divergence = 0;
            for (int j = 0; j < vocabulary; j++)
                divergence += Math.Exp(exact[i][j]) * (exact[i][j] - narrow[i][j]);
            divergences.Add(divergence);
            agree += TensorPrimitives.IndexOfMax<double>(exact[i]) == TensorPrimitives.IndexOfMax<double>(narrow[i]) ? 1 : 0;
        }
    }
    double mean = divergences.Average(), error = Math.Sqrt(divergences.Sum(d => (d - mean) * (d - mean)) / divergences.Count / divergences.Count);
    Console.WriteLine($"{format}: KL {mean:0.00e0} +- {error:0.0e0} nats a token, likeliest token the same {100.0 * agree / divergences.Count:0.000}%, {KvCache.PerToken(grove.Model, format):N0} bytes a token ({divergences.Count:N0} tokens)");
}

double[][] Logs(ReadOnlySpan<int> tokens, KeyValueFormat format)
{
    Batch batch = new();
    batch.Add(tokens, new KvCache(grove.Model, tokens.Length, format), tokens.Length);
    Tensor logits = grove.Model.Forward(batch, context);
    double[][] logs = new double[tokens.Length][];
    for (int i = 0; i < logs.Length; i++)
    {
        double[] row = Array.ConvertAll(logits.Data.Slice(i * vocabulary, vocabulary).ToArray(), x => (double)x);
        double log = row.Max() is var max ? max + Math.Log(row.Sum(x => Math.Exp(x - max))) : 0;
        logs[i] = Array.ConvertAll(row, x => x - log);
    }
    context.Reset();
    return logs;
}
