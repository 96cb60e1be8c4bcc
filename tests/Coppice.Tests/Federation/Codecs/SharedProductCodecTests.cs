using System.Collections.Immutable;
using Coppice.Federation;
using Coppice.Federation.Codecs;
using Coppice.Federation.Privacy;
using Coppice.Federation.Robust;
using Coppice.Federation.Strategies;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tests.Formats;

namespace Coppice.Tests.Federation.Codecs;

public sealed class SharedProductCodecTests : IDisposable
{
    const int Width = 4, Codes = 8;

    readonly WorkerPool pool = new(1);

    public void Dispose() => pool.Dispose();

    static ParameterSet Delta(int seed)
    {
        Random random = new(seed);
        return new ParameterSet([("w", Tensor.From([6, 8], [.. Enumerable.Range(0, 48).Select(_ => random.NextSingle() - 0.5f)]))]);
    }

    [Fact]
    public void A_step_over_clients_sums_is_k_means_over_all_vectors_in_one_place()
    {
        // Vectors in quarters, so that sums are exact in any order.
        Random random = new(3);
        float[][] clients = [.. Enumerable.Range(0, 3).Select(i => Enumerable.Range(0, (40 + 10 * i) * Width).Select(_ => random.Next(-8, 9) / 4f).ToArray())];
        Tensor shared = Tensor.From([Codes, Width], [.. Enumerable.Range(0, Codes * Width).Select(_ => random.Next(-8, 9) / 4f)]), pooled = Tensor.From(shared.Shape, shared.Data);
        for (int iteration = 0; iteration < 5; iteration++)
        {
            SharedProductCodec.Step([.. clients.Select(vectors => SumsOf(vectors, shared))], shared);
            Lloyd([.. clients.SelectMany(vectors => vectors)], pooled);
            Assert.Equal(pooled.Data.ToArray(), shared.Data.ToArray());
        }

        static BookSums SumsOf(float[] vectors, Tensor book)
        {
            byte[] nearest = new byte[vectors.Length / Width];
            Codebook.Assign(book.Data.ToArray(), Width, nearest.Length, (i, run) => vectors.AsSpan(i * Width, Width).CopyTo(run), nearest);
            BookSums sums = new(new double[Codes * Width], new long[Codes]);
            for (int i = 0; i < nearest.Length; i++)
            {
                sums.Counts[nearest[i]]++;
                for (int j = 0; j < Width; j++)
                    sums.Sums[nearest[i] * Width + j] += vectors[i * Width + j];
            }
            return sums;
        }

        // Lloyd's step by distances, over everything.
        static void Lloyd(float[] vectors, Tensor book)
        {
            double[] sum = new double[Codes * Width];
            int[] count = new int[Codes];
            for (int i = 0; i < vectors.Length / Width; i++)
            {
                double[] distances = [.. Enumerable.Range(0, Codes).Select(code => Enumerable.Range(0, Width).Sum(j => Math.Pow(vectors[i * Width + j] - book.Data[code * Width + j], 2)))];
                int best = Array.IndexOf(distances, distances.Min());
                count[best]++;
                for (int j = 0; j < Width; j++)
                    sum[best * Width + j] += vectors[i * Width + j];
            }
            for (int k = 0; k < sum.Length; k++)
                if (count[k / Width] > 0)
                    book.Data[k] = (float)(sum[k] / count[k / Width]);
        }
    }

    [Fact]
    public void An_update_says_of_its_runs_what_the_step_needs()
    {
        SharedProductCodec codec = new(Width, Codes);
        Tensor book = codec.NewBook(new Random(1));
        ParameterSet delta = Delta(2), zero = delta.Zeros(), memory = delta.Zeros();
        using SafeTensors sent = SafeTensors.Read("update", SafeTensorsWriter.ToBytes(codec.With(book).Encode(zero, delta, memory, new Random(0))));
        SharedProductCodec reader = codec.With(book);
        ParameterSet decoded = reader.Decode(sent, zero);
        float scale = (float)(delta.Norm() / Math.Sqrt(48));
        Assert.Equal(12, reader.Sums!.Counts.Sum());
        for (int j = 0; j < Width; j++)
        {
            double all = Enumerable.Range(0, 12).Sum(run => (double)(delta.Tensors["w"].Data[run * Width + j] / scale));
            Assert.Equal(all, Enumerable.Range(0, Codes).Sum(code => reader.Sums.Sums[code * Width + j]), 1e-6);
        }
        // What was decoded and what is kept are the delta.
        for (int i = 0; i < 48; i++)
            Assert.Equal(delta.Tensors["w"].Data[i], decoded.Tensors["w"].Data[i] + memory.Tensors["w"].Data[i], 1e-5f);
    }

    [Fact]
    public void Codes_that_do_not_fit_are_refused()
    {
        SharedProductCodec codec = new(Width, Codes);
        Tensor book = codec.NewBook(new Random(1));
        ParameterSet delta = Delta(2), zero = delta.Zeros();
        byte[] code;
        using (SafeTensors sent = SafeTensors.Read("update", SafeTensorsWriter.ToBytes(codec.With(book).Encode(zero, delta, delta.Zeros(), new Random(0)))))
            code = sent.Find("update").ToBytes();
        // The last byte is of the last entry's sum or its number: an infinite sum, a number that is not its runs', and an end too soon.
        int tail = Enumerable.Range(0, code.Length).Last(i => i + 7 < code.Length && Refused(Changed(i, [0, 0, 0, 0, 0, 0, 0xF0, 0x7F])).Contains("a sum of", StringComparison.Ordinal));
        Assert.Contains("a sum over", Refused(Changed(tail - 8 * (Width - 1) - 1, [99])), StringComparison.Ordinal);
        Assert.Contains("ends within", Refused(code[..^1]), StringComparison.Ordinal);
        Assert.Contains("wanted [8, 4] of finite numbers", Assert.Throws<CoppiceException>(() => codec.With(new Tensor([4, 8]))).Message, StringComparison.Ordinal);

        byte[] Changed(int at, byte[] bytes)
        {
            byte[] changed = [.. code];
            bytes.CopyTo(changed, at);
            return changed;
        }

        string Refused(byte[] bytes)
        {
            using SafeTensors sent = SafeTensors.Read("update", SafeTensorsWriter.ToBytes([TensorSource.Raw("update", DType.U8, [bytes.Length], bytes)]));
            try
            {
                codec.With(book).Decode(sent, zero);
                return "";
            }
            catch (CoppiceException error)
            {
                return error.Message;
            }
        }
    }

    [Fact]
    public void Clients_share_a_codebook_that_fits_better_from_round_to_round_and_a_stopped_run_goes_on()
    {
        FederatedOptions options = Tiny.Options with { Rounds = 6, LocalSteps = 4, Codec = CodecRegistry.Find("bookpq:4:16") };
        List<float[]> books = [];
        DecoderModel undisturbed = Tiny.Model(), resumed = Tiny.Model();
        ImmutableArray<RoundRecord> rounds = Simulation.Run(undisturbed, [.. Tiny.Channels(pool, 3).Select(channel => new Tapped(channel, (task, exchange) =>
        {
            WireFormat.Control(task, out ReadOnlyMemory<byte> tensors);
            using SafeTensors sent = SafeTensors.Read("task", tensors);
            books.Add(sent.ReadTensor("codebook").Data.ToArray());
            return exchange();
        }))], options);
        Assert.True(rounds[^1].LossBefore < rounds[0].LossBefore - 0.1, $"{rounds[0].LossBefore} to {rounds[^1].LossBefore}");
        Assert.Equal(books[0], books[1]);
        Assert.NotEqual(books[0], books[3]);

        using TemporaryFolder folder = new();
        int left = 7;
        IClientChannel[] channels = [.. Tiny.Channels(pool, 3, new RunJournal(folder.Path)).Select(channel => new Tapped(channel, (_, exchange) => left-- == 0 ? throw new OperationCanceledException() : exchange()))];
        Assert.Throws<OperationCanceledException>(() => Simulation.Run(resumed, channels, options, new RunJournal(folder.Path)));
        Simulation.Run(resumed, Tiny.Channels(pool, 3, new RunJournal(folder.Path)), options, new RunJournal(folder.Path));
        Assert.Equal(Tiny.Numbers(undisturbed), Tiny.Numbers(resumed));
    }

    [Fact]
    public void Mixes_that_cannot_be_are_refused_with_the_reason()
    {
        FederatedOptions options = Tiny.Options with { Codec = new SharedProductCodec() };
        Refused("robust rule 'median'", options with { Robust = RobustRegistry.Find("median") });
        Refused("strategy 'fedbuff:3:1'", options with { Strategy = new FedBuff(3) });
        Assert.Contains("without error feedback", Assert.Throws<CoppiceException>((options with { Privacy = PrivacyOptions.Find("local:1:2") }).Validate).Message, StringComparison.Ordinal);

        static void Refused(string reason, FederatedOptions options) => Assert.Contains($"a codebook that clients share, and {reason}", Assert.Throws<CoppiceException>(options.Validate).Message, StringComparison.Ordinal);
    }
}
