using System.Text.Json.Nodes;
using Coppice.Compression;
using Coppice.Compression.Quantize;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tests.Formats;
using Coppice.Text;
using Coppice.Training;

namespace Coppice.Tests.Models.Families;

/// <summary>Encoders from Hugging Face's own layout against plain loops in double.</summary>
public sealed class EncoderTests : IDisposable
{
    static readonly int[] tokens = [3, 17, 0, 5, 5, 111, 2, 8, 214, 1, 256, 4], other = [9, 8, 7];

    readonly TemporaryFolder folder = new();
    readonly WorkerPool pool = new(2);

    public void Dispose()
    {
        pool.Dispose();
        folder.Dispose();
    }

    public static TheoryData<string> Kinds => [.. RandomEncoder.Kinds];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Results_are_those_of_plain_loops_in_double(string kind)
    {
        RandomEncoder reference = Write(kind);
        Close([.. reference.Result(tokens).SelectMany(row => row)], Results(Load(), new Batch(tokens)));
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Texts_beside_one_another_do_not_see_each_other(string kind)
    {
        RandomEncoder reference = Write(kind);
        Batch both = new(other);
        both.Add(tokens);
        Close([.. reference.Result(other).Concat(reference.Result(tokens)).SelectMany(row => row)], Results(Load(), both));
    }

    [Fact]
    public void The_second_text_of_a_pair_has_another_type()
    {
        RandomEncoder reference = Write("bert Model");
        Batch pair = new();
        pair.AddPair(tokens, second: 5);
        Close([.. reference.Hidden(tokens, second: 5).SelectMany(row => row)], Results(Load(), pair));
        // The next text of the same batch begins anew.
        pair.Clear();
        pair.Add(tokens);
        Close([.. reference.Hidden(tokens).SelectMany(row => row)], Results(Load(), pair));
    }

    [Theory]
    [InlineData(Pooling.Mean)]
    [InlineData(Pooling.First)]
    public void An_embedding_is_the_mean_or_the_first_state_at_length_one(Pooling pooling)
    {
        RandomEncoder reference = Write("roberta Model");
        double[][] hidden = reference.Hidden(tokens);
        double[] pooled = pooling == Pooling.First ? hidden[0] : [.. Enumerable.Range(0, 32).Select(i => hidden.Average(row => row[i]))];
        Batch both = new(other);
        both.Add(tokens);
        float[] found = Load().Encode(both, pooling, new ForwardContext(pool)).Data[32..].ToArray();
        Close([.. pooled.Select(v => v / Math.Sqrt(pooled.Sum(w => w * w)))], found);
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Gradients_are_those_of_small_steps(string kind)
    {
        Write(kind);
        EncoderModel model = Load();
        Parameter[] parameters = [.. Parameter.Of(model)];
        Tape tape = new();
        ForwardContext context = new(pool, tape);
        // Texts that leave every number that a ReLU reads further from zero than the small steps move it.
        Batch batch = new(tokens.AsSpan(0, 7));
        batch.Add(tokens.AsSpan(3, 5));
        int rows = model.Config.Task == EncoderTask.Classification ? 2 : batch.Count;
        int[] targets = [.. Enumerable.Range(0, rows).Select(i => i % 3)];
        Tensor loss = CrossEntropy.Apply(context, model.Forward(batch, context), targets, targets.Length);
        tape.Backward(loss);
        float[][] gradients = [.. parameters.Select(parameter => parameter.Tensor.Grad!.Data.ToArray())];
        foreach (Parameter parameter in parameters)
            parameter.Tensor.DropGradient();
        ForwardContext plain = new(pool);
        const double step = 1e-3;
        int compared = 0;
        for (int i = 0; i < parameters.Length; i++)
        {
            double length = Math.Sqrt(gradients[i].Sum(g => (double)g * g));
            if (length < 1e-4)
                continue;
            double rise = (Moved(parameters[i].Tensor, gradients[i], step / length) - Moved(parameters[i].Tensor, gradients[i], -step / length)) / (2 * step);
            Assert.True(Math.Abs(rise - length) <= 0.02 * length + 1e-3, $"{kind}, {parameters[i].Name}: the loss rises by {rise}, its gradient says {length}");
            compared++;
        }
        Assert.True(compared >= parameters.Length - 5, $"only {compared} of {parameters.Length} gradients were large enough to compare");

        double Moved(Tensor tensor, float[] gradient, double step)
        {
            float[] before = tensor.Data.ToArray();
            for (int j = 0; j < before.Length; j++)
                tensor.Data[j] += (float)(step * gradient[j]);
            tensor.MarkChanged();
            plain.Reset();
            Tensor results = model.Forward(batch, plain);
            double[][] logits = [.. results.Data.ToArray().Chunk(results.Shape.Columns).Select(row => Array.ConvertAll(row, value => (double)value))];
            before.CopyTo(tensor.Data);
            tensor.MarkChanged();
            return logits.Select((row, t) => Math.Log(row.Sum(Math.Exp)) - row[targets[t]]).Average();
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_folder_that_is_written_is_the_one_that_was_read(string kind)
    {
        Write(kind);
        EncoderModel model = Load();
        using TemporaryFolder copy = new();
        ModelFolder.Save(model, copy.Path, DType.F32, 1, 2);
        using ICheckpoint before = Checkpoint.Open(folder.Path), after = Checkpoint.Open(copy.Path);
        Assert.Equal(before.Names.Order(), after.Names.Order());
        Assert.All(after.Names, name => Assert.Equal(before.ReadTensor(name).Data.ToArray(), after.ReadTensor(name).Data.ToArray()));
        EncoderModel again = (EncoderModel)ModelFolder.Load(copy.Path);
        Assert.Equal(model.Config, again.Config);
        Assert.Equal(Results(model, new Batch(tokens)), Results(again, new Batch(tokens)));
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Names_may_lack_the_models_prefix_or_have_it_where_there_is_no_head(string kind)
    {
        RandomEncoder reference = new(kind);
        string prefix = kind.Split(' ')[0] + ".";
        bool isBare = kind.EndsWith(" Model", StringComparison.Ordinal);
        string[] heads = !isBare ? [] : prefix switch { "bert." => ["cls.predictions.bias", "cls.seq_relationship.weight"], "roberta." => ["lm_head.bias", "lm_head.dense.weight"], _ => ["vocab_projector.bias", "vocab_transform.weight"] };
        reference.Write(folder.Path, name => isBare ? prefix + name : name.Replace(prefix, "", StringComparison.Ordinal), Unused(heads));
        EncoderModel model = Load();
        Assert.Equal(isBare && prefix != "distilbert.", model.Config.HasPooler);
        Close([.. reference.Result(tokens).SelectMany(row => row)], Results(model, new Batch(tokens)));
    }

    [Theory]
    [InlineData("bert Model")]
    [InlineData("bert ForSequenceClassification")]
    [InlineData("bert ForMaskedLM", "cls.seq_relationship.weight", "cls.seq_relationship.bias", "cls.predictions.decoder.weight", "bert.pooler.dense.weight", "bert.pooler.dense.bias")]
    public void Norms_may_be_called_gamma_and_beta_as_in_TensorFlow(string kind, params string[] pretraining)
    {
        RandomEncoder reference = new(kind);
        reference.Write(folder.Path, name => name.Replace("LayerNorm.weight", "LayerNorm.gamma", StringComparison.Ordinal).Replace("LayerNorm.bias", "LayerNorm.beta", StringComparison.Ordinal), Unused(pretraining));
        Close([.. reference.Result(tokens).SelectMany(row => row)], Results(Load(), new Batch(tokens)));
        using ICheckpoint read = Checkpoint.Open(folder.Path);
        Assert.Contains(read.Names, name => name.EndsWith("LayerNorm.gamma", StringComparison.Ordinal));
    }

    static IEnumerable<TensorSource> Unused(string[] names) => names.Select(name => TensorSource.Floats(name, DType.F32, Tensor.From([2], [1, 2])));

    [Theory]
    [InlineData("bert")]
    [InlineData("roberta")]
    [InlineData("distilbert")]
    public void A_gguf_gives_the_same_hidden_states(string family)
    {
        Write(family + " Model");
        EncoderModel model = Load();
        ModelGguf.Save(model, Tokenizer(), folder["model.gguf"], "tiny", GgmlType.F32);
        EncoderModel again = (EncoderModel)ModelGguf.Load(folder["model.gguf"]).Model;
        Assert.Equal(model.ContextLength, again.ContextLength);
        Assert.Equal(Results(model, new Batch(tokens)), Results(again, new Batch(tokens)));
    }

    [Theory]
    [InlineData("bert")]
    [InlineData("roberta")]
    public void A_gguf_holds_a_classifier_and_its_classes(string family)
    {
        RandomEncoder reference = Write(family + " ForSequenceClassification");
        ModelGguf.Save(Load(), Tokenizer(), folder["model.gguf"], "tiny", GgmlType.F32);
        EncoderModel again = (EncoderModel)ModelGguf.Load(folder["model.gguf"]).Model;
        Assert.Equal(["bad", "so-so", "good"], again.Config.Labels);
        Close(reference.Result(tokens)[0], Results(again, new Batch(tokens)));
        using Gguf file = Gguf.Open(folder["model.gguf"]);
        Assert.Equal((4, 3L), (file.Get<int>("bert.pooling_type"), file.ShapeOf("cls.output.weight")[0]));
    }

    [Theory]
    [InlineData("distilbert ForSequenceClassification", "llama.cpp computes classifiers with tanh, that of this distilbert has Relu")]
    [InlineData("bert ForMaskedLM", "llama.cpp has no place for the head of a bert that tells what stands in a token's place")]
    public void A_head_that_llama_cpp_does_not_compute_is_refused(string kind, string reason)
    {
        Write(kind);
        Assert.Contains(reason, Assert.Throws<CoppiceException>(() => ModelGguf.Save(Load(), Tokenizer(), folder["model.gguf"], "tiny", GgmlType.F32)).Message, StringComparison.Ordinal);
        Assert.False(File.Exists(folder["model.gguf"]));
    }

    [Fact]
    public void A_classifier_is_compressed_calibrated_and_written_as_a_decoder_is()
    {
        Write("roberta ForSequenceClassification");
        LanguageModel language = new(ModelFolder.Load(folder.Path), Tokenizer(), folder.Path);
        Random random = new(1);
        int[][] texts = [.. Enumerable.Range(0, 12).Select(_ => Enumerable.Range(0, 16).Select(_ => random.Next(257)).ToArray())];
        Recipe recipe = new("r", [new Gptq { Bits = 8, GroupSize = 16 }, new Gptq { Bits = 8, GroupSize = 16, Targets = ["head.*"] }]);
        float[] exact = Results(language.Model, new Batch(tokens));
        CompressionReport report = new CompressionPipeline(recipe, pool).Run(language.Model, texts);
        Assert.Equal(2 * 6 + 2, report.Layers.Count(layer => layer.Kind == "int8-g16"));
        Assert.All(report.Layers.Where(layer => !layer.Steps.IsEmpty), layer => Assert.InRange(layer.OutputError!.Value, 1e-12, 1e-3));
        using TemporaryFolder output = new();
        language.Save(output["small"], DType.F32);
        LanguageModel back = LanguageModel.Load(output["small"]);
        float[] kept = Results(back.Model, new Batch(tokens));
        Assert.Equal(Results(language.Model, new Batch(tokens)), kept);
        Assert.All(exact.Zip(kept), pair => Assert.Equal(pair.First, pair.Second, 0.05));
        Assert.Equal(["bad", "so-so", "good"], ((EncoderModel)back.Model).Config.Labels);
    }

    [Fact]
    public void An_encoder_continues_no_text_and_an_unknown_head_is_refused_by_name()
    {
        Write("bert Model");
        Assert.Contains("a bert model reads whole texts and continues none", Assert.Throws<CoppiceException>(() => new KvCache(Load(), 4)).Message, StringComparison.Ordinal);
        Refused("architectures names BertForQuestionAnswering, wanted BertModel", json => json["architectures"] = new JsonArray("BertForQuestionAnswering"));
        Refused("position_embedding_type is 'relative_key'", json => json["position_embedding_type"] = "relative_key");
        Refused("'bert.pooler.dense.weight' is missing", json => json["architectures"] = new JsonArray("BertForSequenceClassification"), "bert ForMaskedLM");
        Refused("a bert model has no use for 16 of its tensors", json => json["num_hidden_layers"] = 1);

        void Refused(string said, Action<JsonObject> change, string kind = "bert Model")
        {
            RandomEncoder encoder = new(kind);
            change(encoder.Config);
            encoder.Write(folder.Path);
            Assert.Contains(said, Assert.Throws<CoppiceException>(() => ModelFolder.Load(folder.Path)).Message, StringComparison.Ordinal);
        }
    }

    RandomEncoder Write(string kind)
    {
        RandomEncoder encoder = new(kind);
        encoder.Write(folder.Path);
        return encoder;
    }

    EncoderModel Load() => (EncoderModel)ModelFolder.Load(folder.Path);

    static Tokenizer Tokenizer() => BpeTrainer.Train(["a"], new BpeTraining { VocabularySize = RandomEncoder.Vocabulary });

    float[] Results(Model model, Batch batch) => model.Forward(batch, new ForwardContext(pool)).Data.ToArray();

    static void Close(double[] wanted, float[] found)
    {
        double size = Math.Sqrt(wanted.Average(v => v * v));
        Assert.Equal(wanted.Length, found.Length);
        for (int i = 0; i < wanted.Length; i++)
            Assert.True(Math.Abs(wanted[i] - found[i]) <= 2e-5 * size, $"number {i}: {found[i]}, wanted {wanted[i]}; they are of size {size}");
    }
}
