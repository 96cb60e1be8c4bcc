#:project ../src/Coppice/Coppice.csproj
#:property PublishAot=false
// Quantizes a model to 4 bits, asks what that cost, and lets both write. Run from the repository's root: dotnet run samples/compress.cs [MODEL]
using Coppice.Compression;
using Coppice.Evaluation;
using Coppice.Inference;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Text;

string path = args.Length > 0 ? args[0] : "assets/grove";
using WorkerPool pool = new(Environment.ProcessorCount);
LanguageModel model = LanguageModel.Load(path), small = LanguageModel.Load(path);

// Calibration text: what the model should stay good at. Yours goes here.
Corpus text = Corpus.Open("sdk:valid");
List<int[]> calibration = [];
foreach (Document document in text.Documents.Take(400))
{
    int[] ids = [.. model.Tokenizer.BosId is { } bos ? [bos] : (int[])[], .. model.Tokenizer.Encode(document.Text)];
    calibration.Add(ids[..Math.Min(ids.Length, model.Model.ContextLength)]);
}

CompressionReport report = new CompressionPipeline(Presets.Get("int4-gptq"), pool).Run(small.Model, calibration);
Console.WriteLine($"{report.BytesBefore:N0} -> {report.BytesAfter:N0} bytes, {report.BitsPerWeight:F2} bits a weight");

Corpus test = new("test", [.. Corpus.Open("sdk:test").Documents.Take(100)]);
Comparison cost = Comparison.Measure(model.Model, small.Model, EvaluationText.Create(test, model.Tokenizer, Protocol.Documents(model.Model.ContextLength)), pool);
Console.WriteLine($"KL {cost.Kl.Value:F4} ± {cost.Kl.StandardError:F4} nats a token, the same first choice {cost.Top1Agreement.Value:P1} of the time");

foreach (LanguageModel writer in new[] { model, small })
{
    List<int> prompt = [.. writer.Tokenizer.BosId is { } bos ? [bos] : (int[])[]];
    writer.Tokenizer.Encode("StringBuilder.Append(value)\n", prompt);
    List<int> written = [];
    new Generator(writer.Model, new Sampler(), pool, writer.Tokenizer.EosId).Generate([.. prompt], 60, written.Add);
    Console.WriteLine($"\n{writer.Tokenizer.Decode([.. prompt, .. written])}");
}
