using System.Text.Json.Nodes;
using Coppice.Compression;
using Coppice.Compression.Quantize;
using Coppice.Formats;
using Coppice.Inference;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tests.Formats;
using Coppice.Training;
using Coppice.Weights;

namespace Coppice.Tests.Models.Families;

/// <summary>Marian from Hugging Face's own layout against plain loops in double, and its search against all translations there are.</summary>
public sealed class TranslationTests : IDisposable
{
    static readonly int[] source = [5, 9, 3, 3, 21, 0], other = [8, 0], target = [39, 4, 17, 2, 30], start = [39, 6];

    readonly TemporaryFolder folder = new();
    readonly WorkerPool pool = new(2);

    public void Dispose()
    {
        pool.Dispose();
        folder.Dispose();
    }

    [Fact]
    public void Logits_are_those_of_plain_loops_in_double_whatever_stands_beside()
    {
        RandomMarian reference = Write();
        TranslationModel model = Load();
        ForwardContext context = new(pool);
        Batch sources = new(other);
        sources.Add(source);
        Batch targets = new(start);
        targets.Add(target);
        targets.Source = model.Encode(sources, context);
        Close([.. reference.Logits(other, start).Concat(reference.Logits(source, target)).SelectMany(row => row)], model.Forward(targets, context).Data.ToArray());
    }

    [Fact]
    public void Generation_with_a_cache_gives_the_logits_of_the_whole_text()
    {
        Write();
        TranslationModel model = Load();
        ForwardContext context = new(pool);
        EncodedSource encoded = model.Encode(new Batch(source), context);
        context.Reset();
        float[] whole = model.Forward(new Batch(target) { Source = encoded }, context).Data.ToArray();
        KvCache cache = new(model, 16, KeyValueFormat.Float32);
        Batch batch = new();
        for (int t = 0; t < target.Length; t++)
        {
            batch.Clear();
            batch.Add(target.AsSpan(t, 1), cache);
            batch.Source = encoded;
            context.Reset();
            Assert.Equal(whole[(t * 40)..((t + 1) * 40)], model.ForwardLast(batch, context).Data.ToArray());
        }
    }

    [Fact]
    public void Gradients_are_those_of_small_steps()
    {
        Write();
        TranslationModel model = Load();
        Parameter[] parameters = [.. Parameter.Of(model)];
        Tape tape = new();
        ForwardContext context = new(pool, tape), plain = new(pool);
        int[] wanted = [4, 17, 2, 30, 0];
        Tensor loss = CrossEntropy.Apply(context, Logits(context), wanted, wanted.Length);
        tape.Backward(loss);
        float[][] gradients = [.. parameters.Select(parameter => parameter.Tensor.Grad!.Data.ToArray())];
        foreach (Parameter parameter in parameters)
            parameter.Tensor.DropGradient();
        int compared = 0;
        for (int i = 0; i < parameters.Length; i++)
        {
            double length = Math.Sqrt(gradients[i].Sum(g => (double)g * g)), step = 1e-3;
            if (length < 1e-4)
                continue;
            double rise = (Moved(parameters[i].Tensor, gradients[i], step / length) - Moved(parameters[i].Tensor, gradients[i], -step / length)) / (2 * step);
            Assert.True(Math.Abs(rise - length) <= 0.02 * length + 1e-3, $"{parameters[i].Name}: the loss rises by {rise}, its gradient says {length}");
            compared++;
        }
        // A key's bias moves all scores of a query alike, which changes nothing: eight of them.
        Assert.True(compared >= parameters.Length - 8, $"only {compared} of {parameters.Length} gradients were large enough to compare");

        Tensor Logits(ForwardContext with) => model.Forward(new Batch(target) { Source = model.Encode(new Batch(source), with) }, with);

        double Moved(Tensor tensor, float[] gradient, double step)
        {
            float[] before = tensor.Data.ToArray();
            for (int j = 0; j < before.Length; j++)
                tensor.Data[j] += (float)(step * gradient[j]);
            tensor.MarkChanged();
            plain.Reset();
            double[][] rows = [.. Logits(plain).Data.ToArray().Chunk(40).Select(row => Array.ConvertAll(row, value => (double)value))];
            before.CopyTo(tensor.Data);
            tensor.MarkChanged();
            return rows.Select((row, t) => Math.Log(row.Sum(Math.Exp)) - row[wanted[t]]).Average();
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void A_beam_wide_enough_finds_the_best_of_all_translations(int seed)
    {
        // Six ids, the last of which pads: with the end token at most 1 + 4 + 16 + 64 texts of up to three tokens.
        RandomMarian reference = new(vocabulary: 6, context: 8, seed);
        reference.Write(folder.Path);
        TranslationModel model = Load();
        int[] given = [2, 4, 1, 0];
        (double Score, int[] Ids) best = (double.NegativeInfinity, []);
        Visit([5], 0);
        Translation found = new Translator(model, pool, KeyValueFormat.Float32, ActivationFormat.Float32).Translate(given, new TranslationOptions { Beams = 200, MaxTokens = 3 });
        Assert.Equal(best.Ids, found.Ids);

        Translation greedy = new Translator(model, pool, KeyValueFormat.Float32, ActivationFormat.Float32).Translate(given.AsSpan(0, 3), new TranslationOptions { Beams = 1, MaxTokens = 3 });
        List<int> likeliest = [5];
        while (likeliest.Count <= 3 && Best(likeliest) is not 0 and int next)
            likeliest.Add(next);
        Assert.Equal(likeliest.Skip(1), greedy.Ids);

        int Best(List<int> ids)
        {
            double[] logits = reference.Logits(given, [.. ids])[^1];
            return Enumerable.Range(0, 5).MaxBy(id => logits[id]);
        }

        void Visit(int[] ids, double sum)
        {
            double[] logits = reference.Logits(given, ids)[^1][..5];
            double all = Math.Log(logits.Sum(Math.Exp));
            for (int id = 0; id < 5; id++)
            {
                double then = sum + logits[id] - all;
                if (id != 0 && ids.Length < 3)
                    Visit([.. ids, id], then);
                else if (then / ids.Length > best.Score)
                    best = (then / ids.Length, id == 0 ? ids[1..] : [.. ids[1..], id]);
            }
        }
    }

    [Theory]
    [InlineData(1), InlineData(2), InlineData(3), InlineData(5)]
    public void A_beam_is_that_of_whole_texts_in_double(int beams)
    {
        RandomMarian reference = Write();
        Translator translator = new(Load(), pool, KeyValueFormat.Float32, ActivationFormat.Float32);
        // Caches that one text leaves behind are the next one's.
        foreach (int[] given in (int[][])[source, other, [7, 7, 12, 30, 0]])
        {
            Translation found = translator.Translate(given, new TranslationOptions { Beams = beams, MaxTokens = 14, LengthPenalty = 0.7 });
            (int[] ids, double score) = Beam(reference, given, beams, 14, 0.7);
            Assert.Equal(ids, found.Ids);
            Assert.Equal(score, found.LogProbability, 1e-3);
        }
    }

    static (int[] Ids, double Score) Beam(RandomMarian reference, int[] given, int beams, int most, double penalty)
    {
        List<(int[] Ids, double Score)> live = [([39], 0)], finished = [];
        for (int length = 1; length <= most && live.Count > 0 && finished.Count < beams; length++)
        {
            List<(int[] Ids, double Score)> next = [];
            foreach ((int[] ids, double score) in live)
            {
                double[] logits = reference.Logits(given, ids)[^1][..39];
                double sum = Math.Log(logits.Sum(Math.Exp));
                next.AddRange(logits.Select((logit, id) => ((int[])[.. ids, id], score + logit - sum)));
            }
            next = [.. next.OrderByDescending(candidate => candidate.Score).Take(beams)];
            finished.AddRange(next.Where(candidate => candidate.Ids[^1] == 0 || length == most));
            live = [.. next.Where(candidate => candidate.Ids[^1] != 0 && length < most)];
        }
        (int[] best, double said) = finished.Concat(live).MaxBy(candidate => candidate.Score / Math.Pow(candidate.Ids.Length - 1, penalty));
        return ([.. best.Skip(1).Where(id => id != 0)], said);
    }

    [Theory]
    [InlineData(KeyValueFormat.Float32), InlineData(KeyValueFormat.Float16), InlineData(KeyValueFormat.Int8)]
    public void A_copied_cache_goes_on_as_the_first(KeyValueFormat format)
    {
        Write();
        TranslationModel model = Load();
        ForwardContext context = new(pool);
        EncodedSource encoded = model.Encode(new Batch(source), context);
        foreach (int held in (int[])[0, 1, 4])
        {
            KvCache first = new(model, 16, format), second = new(model, 16, format);
            if (held > 0)
                Next(first, target.AsSpan(0, held));
            Next(second, [3, 3, 3]);
            second.CopyFrom(first);
            Assert.Equal(first.Tokens.ToArray(), second.Tokens.ToArray());
            Assert.Equal(Next(first, target.AsSpan(held)), Next(second, target.AsSpan(held)));
        }

        float[] Next(KvCache cache, ReadOnlySpan<int> ids)
        {
            Batch batch = new();
            batch.Add(ids, cache);
            batch.Source = encoded;
            context.Reset();
            return model.ForwardLast(batch, context).Data.ToArray();
        }
    }

    [Fact]
    public void A_folder_that_is_written_is_the_one_that_was_read()
    {
        Write();
        TranslationModel model = Load();
        using TemporaryFolder copy = new();
        ModelFolder.Save(model, copy.Path, DType.F32, null, null);
        using ICheckpoint before = Checkpoint.Open(folder.Path), after = Checkpoint.Open(copy.Path);
        Assert.Equal(before.Names.Where(name => !name.EndsWith("embed_positions.weight", StringComparison.Ordinal)).Order(), after.Names.Order());
        Assert.All(after.Names, name => Assert.Equal(before.ReadTensor(name).Data.ToArray(), after.ReadTensor(name).Data.ToArray()));
        Assert.Equal(model.Config, ((TranslationModel)ModelFolder.Load(copy.Path)).Config);
    }

    [Fact]
    public void Both_halves_are_compressed_without_calibration_and_refuse_one()
    {
        Write();
        TranslationModel model = Load();
        CompressionReport report = new CompressionPipeline(new Recipe("r", [new RoundToNearest { Bits = 8, GroupSize = -1 }]), pool).Run(model, []);
        // Two blocks of 6 matrices, three of 10.
        Assert.Equal(2 * 6 + 3 * 10, report.Layers.Count(layer => layer.Kind.StartsWith("int8", StringComparison.Ordinal)));
        using TemporaryFolder copy = new();
        ModelFolder.Save(model, copy.Path, DType.F32, null, null);
        Assert.Equal("int8-channel", ((TranslationModel)ModelFolder.Load(copy.Path)).Blocks[0].Source!.Key.Weight.Kind);
        Assert.Contains("calibrated by pairs of texts", Assert.Throws<CoppiceException>(() => new CompressionPipeline(new Recipe("r", [new RoundToNearest { GroupSize = -1 }]), pool).Run(Load(), [[1, 2]])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_not_computed_is_refused_by_name()
    {
        Refused("architectures names MarianModel, wanted MarianMTModel", json => json["architectures"] = new JsonArray("MarianModel"));
        Refused("normalize_before is true", json => json["normalize_before"] = true);
        Refused("decoder_vocab_size is 41", json => json["decoder_vocab_size"] = 41);
        Refused("'model.decoder.layers.3.self_attn_layer_norm.weight' is missing", json => json["decoder_layers"] = 4);

        void Refused(string said, Action<JsonObject> change)
        {
            RandomMarian marian = new();
            change(marian.Config);
            marian.Write(folder.Path);
            Assert.Contains(said, Assert.Throws<CoppiceException>(() => ModelFolder.Load(folder.Path)).Message, StringComparison.Ordinal);
        }
    }

    RandomMarian Write()
    {
        RandomMarian marian = new();
        marian.Write(folder.Path);
        return marian;
    }

    TranslationModel Load() => (TranslationModel)ModelFolder.Load(folder.Path);

    static void Close(double[] wanted, float[] found)
    {
        double size = Math.Sqrt(wanted.Average(v => v * v));
        Assert.Equal(wanted.Length, found.Length);
        for (int i = 0; i < wanted.Length; i++)
            Assert.True(Math.Abs(wanted[i] - found[i]) <= 2e-5 * size, $"number {i}: {found[i]}, wanted {wanted[i]}; they are of size {size}");
    }
}
