using System.Text.Json.Nodes;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tests.Formats;
using Coppice.Text;
using Coppice.Training;

namespace Coppice.Tests.Models.Families;

/// <summary>Every family from Hugging Face's own layout against plain loops in double.</summary>
public sealed class FamilyTests : IDisposable
{
    static readonly int[] tokens = [3, 17, 0, 5, 5, 111, 2, 8, 214, 1, 256, 4];

    readonly TemporaryFolder folder = new();
    readonly WorkerPool pool = new(2);

    public void Dispose()
    {
        pool.Dispose();
        folder.Dispose();
    }

    public static TheoryData<string> Kinds => [.. RandomCheckpoint.Families];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Logits_are_those_of_plain_loops_in_double(string kind)
    {
        RandomCheckpoint checkpoint = Write(kind);
        Close(checkpoint.Reference.Logits(tokens), Logits((DecoderModel)ModelFolder.Load(folder.Path)), 2e-5);
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Generation_with_a_cache_gives_the_logits_of_the_whole_text(string kind)
    {
        Write(kind);
        DecoderModel model = (DecoderModel)ModelFolder.Load(folder.Path);
        float[] whole = Logits(model);
        KvCache cache = new(model, model.ContextLength, KeyValueFormat.Float32);
        ForwardContext context = new(pool);
        Batch batch = new();
        int vocabulary = model.VocabularySize;
        for (int t = 0, step; t < tokens.Length; t += step)
        {
            // Three at once, then one by one.
            step = t == 0 ? 3 : 1;
            batch.Clear();
            batch.Add(tokens.AsSpan(t, step), cache);
            context.Reset();
            int last = t + step - 1;
            Assert.Equal(whole[(last * vocabulary)..((last + 1) * vocabulary)], model.ForwardLast(batch, context).Data.ToArray());
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Gradients_are_those_of_small_steps(string kind)
    {
        Write(kind);
        DecoderModel model = (DecoderModel)ModelFolder.Load(folder.Path);
        Parameter[] parameters = [.. Parameter.Of(model)];
        Tape tape = new();
        ForwardContext context = new(pool, tape);
        Batch batch = new(tokens.AsSpan(0, 9));
        int[] targets = [.. tokens[1..10]];
        foreach (Parameter parameter in parameters)
            parameter.Tensor.TrackGradient();
        Tensor loss = CrossEntropy.Apply(context, model.Forward(batch, context), targets, targets.Length);
        tape.Backward(loss);
        float[][] gradients = [.. parameters.Select(parameter => parameter.Tensor.Grad!.Data.ToArray())];
        foreach (Parameter parameter in parameters)
            parameter.Tensor.DropGradient();

        // Along each parameter's own gradient the loss must rise by the gradient's length: one number a parameter, checked by two forward passes.
        ForwardContext plain = new(pool);
        for (int i = 0; i < parameters.Length; i++)
        {
            double length = Math.Sqrt(gradients[i].Sum(g => (double)g * g));
            if (length < 1e-5)
                continue;
            // A token that changes its experts makes the loss jump.
            double step = model.Config.Experts is null ? 2e-3 : 2e-4, noise = 2e-6 / step;
            double rise = (Moved(parameters[i].Tensor, gradients[i], step / length) - Moved(parameters[i].Tensor, gradients[i], -step / length)) / (2 * step);
            Assert.True(Math.Abs(rise - length) <= 0.02 * length + noise, $"{kind}, {parameters[i].Name}: the loss rises by {rise}, its gradient says {length}");
        }

        double Moved(Tensor tensor, float[] gradient, double step)
        {
            float[] before = tensor.Data.ToArray();
            for (int j = 0; j < before.Length; j++)
                tensor.Data[j] += (float)(step * gradient[j]);
            tensor.MarkChanged();
            plain.Reset();
            double[][] logits = Rows(model.Forward(batch, plain).Data.ToArray(), model.VocabularySize);
            before.CopyTo(tensor.Data);
            tensor.MarkChanged();
            return logits.Select((row, t) => Math.Log(row.Sum(Math.Exp)) - row[targets[t]]).Average();
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_folder_that_is_written_is_the_one_that_was_read(string kind)
    {
        RandomCheckpoint checkpoint = Write(kind);
        DecoderModel model = (DecoderModel)ModelFolder.Load(folder.Path);
        using TemporaryFolder copy = new();
        ModelFolder.Save(model, copy.Path, DType.F32, 1, 2);
        using ICheckpoint before = Checkpoint.Open(folder.Path), after = Checkpoint.Open(copy.Path);
        Assert.Equal(before.Names.Where(name => !name.EndsWith("inv_freq", StringComparison.Ordinal)).Order(), after.Names.Order());
        foreach (string name in after.Names)
        {
            Assert.Equal(before.ShapeOf(name).ToArray(), after.ShapeOf(name).ToArray());
            // Gains kept as distances from one lose the digits that 1 + w does not hold.
            float[] a = before.ReadTensor(name).Data.ToArray(), b = after.ReadTensor(name).Data.ToArray();
            Assert.True(a.Zip(b).All(pair => Math.Abs(pair.First - pair.Second) <= (kind.StartsWith("gemma", StringComparison.Ordinal) ? 1.2e-7f : 0)), name);
        }
        DecoderModel again = (DecoderModel)ModelFolder.Load(copy.Path);
        Assert.Equal(model.Config, again.Config);
        if (!kind.StartsWith("gemma", StringComparison.Ordinal))
            Assert.Equal(Logits(model), Logits(again));
    }

    [Theory]
    [InlineData("gpt2", "transformer."), InlineData("opt", "model."), InlineData("gpt_neox", "gpt_neox."), InlineData("qwen3", "model.")]
    public void Names_may_lack_the_prefix_of_the_model_below_the_head(string kind, string prefix)
    {
        RandomCheckpoint checkpoint = new(kind);
        checkpoint.Write(folder.Path, name => Strip(name, prefix));
        DecoderModel model = (DecoderModel)ModelFolder.Load(folder.Path);
        Close(checkpoint.Reference.Logits(tokens), Logits(model), 2e-5);
        // What is written has the names of the class that config.json names.
        using TemporaryFolder copy = new();
        ModelFolder.Save(model, copy.Path, DType.F32, 1, 2);
        using ICheckpoint after = Checkpoint.Open(copy.Path);
        Assert.All(after.Names, name => Assert.True(name.StartsWith(prefix, StringComparison.Ordinal) || name is "lm_head.weight" or "embed_out.weight", name));
    }

    [Fact]
    public void Masks_of_attention_that_a_checkpoint_carries_are_left_aside()
    {
        RandomCheckpoint checkpoint = new("gpt2");
        foreach (string prefix in new[] { "transformer.", "" })
        {
            checkpoint.Write(folder.Path, name => Strip(name, "transformer.") is var bare && bare == name ? name : prefix + bare,
                TensorSource.Floats(prefix + "h.0.attn.bias", DType.F32, Tensor.From([1, 1, 24, 24], Ones(576))),
                TensorSource.Raw(prefix + "h.1.attn.bias", DType.U8, [1, 1, 24, 24], new byte[576]),
                TensorSource.Raw(prefix + "h.0.attn.masked_bias", DType.F32, [], [-1e4f]));
            Close(checkpoint.Reference.Logits(tokens), Logits((DecoderModel)ModelFolder.Load(folder.Path)), 2e-5);
        }
        checkpoint.Write(folder.Path, name => Strip(name, "transformer."), TensorSource.Floats("h.0.attn.gain", DType.F32, Tensor.From([3], Ones(3))));
        Assert.Contains("a gpt2 model has no use for 1 of its tensors: h.0.attn.gain", Assert.Throws<CoppiceException>(() => ModelFolder.Load(folder.Path)).Message, StringComparison.Ordinal);
    }

    static string Strip(string name, string prefix) => name.StartsWith(prefix, StringComparison.Ordinal) ? name[prefix.Length..] : name;

    static float[] Ones(int count) => [.. Enumerable.Repeat(1f, count)];

    [Theory]
    [InlineData("llama"), InlineData("llama-biased"), InlineData("llama-3.1"), InlineData("llama-linear"), InlineData("mixtral"), InlineData("qwen2"), InlineData("qwen2-yarn"), InlineData("phi3-longrope"), InlineData("qwen2_moe"), InlineData("qwen3"), InlineData("qwen3_moe"), InlineData("phi3"), InlineData("gemma2-even"), InlineData("gemma3_text"), InlineData("olmo2"), InlineData("gpt2"), InlineData("gpt_neox"), InlineData("gpt_neox-sequential")]
    public void A_gguf_gives_the_same_logits(string kind)
    {
        RandomCheckpoint checkpoint = new(kind.Replace("-even", "", StringComparison.Ordinal));
        // llama.cpp has no key for the scale: it is that of the head's width.
        if (kind == "gemma2-even")
            checkpoint.Config["query_pre_attn_scalar"] = 10;
        checkpoint.Write(folder.Path);
        DecoderModel model = (DecoderModel)ModelFolder.Load(folder.Path);
        string path = folder["model.gguf"];
        ModelGguf.Save(model, BpeTrainer.Train(["a"], new BpeTraining { VocabularySize = RandomCheckpoint.Vocabulary }), path, "tiny", GgmlType.F32);
        DecoderModel again = (DecoderModel)ModelGguf.Load(path).Model;
        Assert.Equal(model.Config.Family, again.Config.Family);
        Close(Rows(Logits(model), model.VocabularySize), Logits(again), 1e-5);
    }

    [Fact]
    public void A_mixture_that_llama_cpp_computes_otherwise_is_refused()
    {
        Write("qwen2_moe-mixed");
        Assert.Contains("shares of all experts in qwen2_moe models", Refusal(), StringComparison.Ordinal);
        File.WriteAllText(folder["config.json"], File.ReadAllText(folder["config.json"]).Replace("\"norm_topk_prob\":true", "\"norm_topk_prob\":false", StringComparison.Ordinal));
        Assert.Contains("experts in every layer of a qwen2_moe model, this model none in layer 1", Refusal(), StringComparison.Ordinal);

        string Refusal() => Assert.Throws<CoppiceException>(() => ModelGguf.Save((DecoderModel)ModelFolder.Load(folder.Path), BpeTrainer.Train(["a"], new BpeTraining { VocabularySize = RandomCheckpoint.Vocabulary }), folder["model.gguf"], "tiny", GgmlType.F32)).Message;
    }

    [Fact]
    public void What_is_not_known_is_refused_by_name()
    {
        Write("llama");
        void Refused(string said, Action<JsonObject> change)
        {
            JsonObject json = JsonNode.Parse(File.ReadAllText(folder["config.json"]))!.AsObject();
            string before = json.ToJsonString();
            change(json);
            File.WriteAllText(folder["config.json"], json.ToJsonString());
            Assert.Contains(said, Assert.Throws<CoppiceException>(() => (DecoderModel)ModelFolder.Load(folder.Path)).Message, StringComparison.Ordinal);
            File.WriteAllText(folder["config.json"], before);
        }
        Refused("model_type is 'mamba', wanted one of llama, mistral, mixtral, qwen2", json => json["model_type"] = "mamba");
        Refused("rotary scaling is 'proportional', wanted default, linear, dynamic, llama3, yarn or longrope", json => json["rope_scaling"] = new JsonObject { ["rope_type"] = "proportional", ["factor"] = 4 });
        Refused("rotary scaling's short_factor has 3 numbers, wanted 4", json => json["rope_scaling"] = new JsonObject { ["rope_type"] = "longrope", ["short_factor"] = new JsonArray(1, 2, 3), ["long_factor"] = new JsonArray(1, 2, 3) });
        Refused("architectures names LlamaForSequenceClassification, wanted LlamaForCausalLM", json => json["architectures"] = new JsonArray("LlamaForSequenceClassification"));
        Refused("hidden_act is 'mish'", json => json["hidden_act"] = "mish");
        Refused("'model.layers.3.input_layernorm.weight' is missing", json => json["num_hidden_layers"] = 4);
        Refused("a llama model has no use for 9 of its tensors: model.layers.2.input_layernorm.weight", json => json["num_hidden_layers"] = 2);
        Refused("'model.layers.0.self_attn.q_proj.bias' is missing", json => json["attention_bias"] = true);
        Refused("use_sliding_window is true", json =>
        {
            json["model_type"] = "qwen2";
            json["use_sliding_window"] = true;
        });
    }

    RandomCheckpoint Write(string kind)
    {
        RandomCheckpoint checkpoint = new(kind);
        checkpoint.Write(folder.Path);
        return checkpoint;
    }

    float[] Logits(DecoderModel model) => model.Forward(new Batch(tokens), new ForwardContext(pool)).Data.ToArray();

    static double[][] Rows(float[] logits, int width) => [.. logits.Chunk(width).Select(row => Array.ConvertAll(row, value => (double)value))];

    static void Close(double[][] wanted, float[] found, double tolerance)
    {
        double size = Math.Sqrt(wanted.SelectMany(row => row).Average(v => v * v));
        double[] all = [.. wanted.SelectMany(row => row)];
        Assert.Equal(all.Length, found.Length);
        for (int i = 0; i < all.Length; i++)
            Assert.True(Math.Abs(all[i] - found[i]) <= tolerance * size, $"logit {i}: {found[i]}, wanted {all[i]}; they are of size {size}");
    }
}
