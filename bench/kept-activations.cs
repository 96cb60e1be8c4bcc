#:project Grove/Grove.csproj
#:property PublishAot=false
// What it costs to keep activations as bfloat16 for the way back: the error of a gradient on the default model, and the loss of models of its shape after some hundred steps.
//   dotnet run -c Release bench/kept-activations.cs [STEPS]
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Text;
using Coppice.Training;

using WorkerPool pool = new(Environment.ProcessorCount);
int steps = args.Length > 0 ? int.Parse(args[0]) : 200;
LanguageModel grove = LanguageModel.Load("assets/grove");
TokenWindows Read(string text, int length, int seed) => new(TokenWindows.Tokenize(grove.Tokenizer, Corpus.Open(text).Documents.Take(2000).ToList()), length, seed);

// Of plain gradient descent at a rate of one a step is the gradient.
TrainingOptions descent = new() { BatchSize = 4, ContextLength = 256, Optimizer = OptimizerKind.Sgd, GradientClip = 0 };
List<(string Name, float[] Values)> start = Parameters(LanguageModel.Load("assets/grove").Model), exact = Stepped(KeptActivations.All), narrow = Stepped(KeptActivations.BFloat16);
var errors = start.Select((part, i) => (part.Name, Error: Distance(exact[i].Values, narrow[i].Values) / Distance(exact[i].Values, part.Values))).OrderByDescending(part => part.Error).ToList();
Console.WriteLine("gradients of grove, |bf16 - float32| / |float32|, the largest first:");
foreach ((string name, double error) in errors.Take(8))
    Console.WriteLine($"  {name,-48}{error:0.0e0}");
Console.WriteLine($"  {"median of " + errors.Count,-48}{errors[errors.Count / 2].Error:0.0e0}");

Console.WriteLine($"\n| order of the text | kept | loss of step {steps} | held out, nats a token | memory, MiB |\n| --- | --- | ---: | ---: | ---: |");
for (int seed = 1; seed <= 2; seed++)
    foreach (KeptActivations keeps in new[] { KeptActivations.All, KeptActivations.BFloat16 })
    {
        DecoderModel model = Initialization.Random(((DecoderModel)grove.Model).Config, seed: 1);
        Trainer trainer = new(model, Read("sdk:train", 256, seed), new TrainingOptions { Steps = steps, BatchSize = 4, ContextLength = 256, WarmupSteps = 20, Activations = keeps }, pool);
        double loss = 0;
        for (int step = 0; step < steps; step++)
            loss = trainer.Step().Loss;
        Console.WriteLine($"| {seed} | {keeps} | {loss:0.0000} | {trainer.Measure(Read("sdk:valid", 256, 0)):0.0000} | {trainer.ActivationBytes >> 20} |");
    }

List<(string, float[])> Stepped(KeptActivations keeps)
{
    Model model = LanguageModel.Load("assets/grove").Model;
    new Trainer(model, Read("sdk:valid", 256, 1), descent with { Activations = keeps }, pool).Step(rate: 1);
    return Parameters(model);
}

static List<(string, float[])> Parameters(Model model) =>
    [.. model.Matrices().Select(part => (part.Name, part.Layer.Weight.ToDense())), .. model.AllVectors().Select(part => (part.Name, part.Vector.Data.ToArray()))];

static double Distance(float[] a, float[] b) => Math.Sqrt(a.Zip(b, (x, y) => (double)(x - y) * (x - y)).Sum());
