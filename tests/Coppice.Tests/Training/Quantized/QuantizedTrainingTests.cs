using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tests.Models;
using Coppice.Training;
using Coppice.Training.Quantized;
using Coppice.Training.Sparse;
using Coppice.Weights;

namespace Coppice.Tests.Training.Quantized;

public sealed class QuantizedTrainingTests : IDisposable
{
    static readonly TrainingOptions Options = new()
    {
        Steps = 8,
        BatchSize = 3,
        ContextLength = 8,
        WarmupSteps = 2,
        LearningRate = 5e-3,
        Quantization = new QuantizedTraining { Bits = 3, GroupSize = 4 },
    };

    readonly WorkerPool pool = new(2);

    public void Dispose() => pool.Dispose();

    static TokenWindows Windows() => new([.. Enumerable.Range(0, 400).Select(i => i * i % 13 + i % 4)], Options.ContextLength, seed: 1);

    [Theory]
    [InlineData(0, 0), InlineData(0.3, 0.2)]
    public void The_stored_model_is_the_one_that_trained(double noise, double jitter)
    {
        DecoderModel model = TinyLlama.Create();
        Trainer trainer = new(model, Windows(), Options with { Quantization = Options.Quantization! with { Noise = noise, Jitter = jitter } }, pool);
        for (int i = 0; i < Options.Steps; i++)
            trainer.Step();
        double before = trainer.Measure(Windows());
        trainer.Finish();
        Assert.All(model.Blocks.SelectMany(block => block.Stages).SelectMany(stage => stage.Matrices), layer => Assert.Equal("int3-g4", layer.Weight.Kind));
        Assert.IsType<DenseWeight>(model.Embedding.Weight);
        Assert.Equal(before, new Trainer(model, Windows(), Options with { Quantization = null }, pool).Measure(Windows()), 1e-6);
    }

    [Fact]
    public void Weights_and_steps_learn_what_a_teacher_says()
    {
        DecoderModel model = TinyLlama.Create();
        Trainer trainer = new(model, Windows(), Options with { Steps = 60, LearningRate = 2e-3 }, pool, TinyLlama.Create());
        float[] steps = [.. Steps()];
        double[] losses = [.. Enumerable.Range(0, 60).Select(_ => trainer.Step().Loss)];
        Assert.True(losses[^10..].Average() < 0.7 * losses[..3].Average(), string.Join(' ', losses));
        Assert.All(steps.Zip(Steps()), pair => Assert.NotEqual(pair.First, pair.Second));

        IEnumerable<float> Steps() => trainer.Optimizer.Parameters.Where(parameter => parameter.Name.EndsWith(".step", StringComparison.Ordinal)).SelectMany(parameter => parameter.Tensor.Data.ToArray());
    }

    [Fact]
    public void A_run_goes_on_from_a_checkpoint_to_the_same_numbers()
    {
        TrainingOptions options = Options with { Adversarial = 0.1, Quantization = Options.Quantization! with { Noise = 0.3, Jitter = 0.2 } };
        string path = Path.Combine(Path.GetTempPath(), $"{Guid.NewGuid():N}.safetensors");
        DecoderModel whole = TinyLlama.Create(), again = TinyLlama.Create();
        Trainer first = new(whole, Windows(), options, pool), second = new(again, Windows(), options, pool);
        first.Step();
        first.Step();
        try
        {
            TrainingCheckpoint.Save(path, first, "same");
            TrainingCheckpoint.Restore(path, second, "same");
        }
        finally
        {
            File.Delete(path);
        }
        foreach (Trainer trainer in new[] { first, second })
        {
            trainer.Step();
            trainer.Finish();
        }
        Assert.Equal(TinyLlama.Parameters(whole), TinyLlama.Parameters(again));
    }

    [Fact]
    public void What_was_pruned_two_of_four_stays_so_and_is_stored_as_that()
    {
        DecoderModel model = PrunedTests.HalfPruned((rows, columns, values) => TwoFourWeight.From(rows, columns, values));
        Trainer trainer = new(model, Windows(), Options with { Quantization = Options.Quantization! with { Noise = 0.3 } }, pool);
        for (int i = 0; i < Options.Steps; i++)
            trainer.Step();
        trainer.Finish();
        foreach ((string name, MatrixLayer layer) in model.Matrices().Where(part => part.Name.EndsWith("q_proj", StringComparison.Ordinal) || part.Name.EndsWith("up_proj", StringComparison.Ordinal)))
        {
            Assert.Equal("2:4-int3-g4", layer.Weight.Kind);
            float[] values = layer.Weight.ToDense();
            Assert.All(Enumerable.Range(0, values.Length).Where(i => i % 4 < 2), i => Assert.Equal(0, values[i]));
        }
    }

    [Fact]
    public void A_shift_against_the_model_makes_its_loss_larger()
    {
        double plain = First(0), attacked = First(0.2);
        Assert.True(attacked > plain * 1.001, $"{plain} -> {attacked}");
        Assert.Equal(plain, First(1e-9), 1e-5);

        double First(double strength) => new Trainer(TinyLlama.Create(), Windows(), Options with { Adversarial = strength }, pool).Step().Loss;
    }

    [Fact]
    public void What_cannot_be_is_refused_in_one_line()
    {
        Refused("Quantization in training: bits is 9, wanted 2 to 8", Options with { Quantization = new QuantizedTraining { Bits = 9 } });
        Refused("Quantization in training: noise is -1, wanted 0 or more", Options with { Quantization = new QuantizedTraining { Noise = -1 } });
        Refused("Training: masks that move and integers at once; prune first, and what is 0 stays 0", Options with { Pruning = new RigL() });
        Refused("Quantization in training: 'model.layers.0.mlp.up' is none of the model's matrices; the nearest is 'model.layers.0.mlp.up_proj'", Options with { Quantization = new QuantizedTraining { Matrices = ["model.layers.0.mlp.up"] } });
        Assert.Contains("groups of 5 do not divide its", Fault(TinyLlama.Create(), Options with { Quantization = new QuantizedTraining { GroupSize = 5 } }), StringComparison.Ordinal);
        DecoderModel adapted = TinyLlama.Create();
        Lora.Attach(adapted, new LoraOptions { Rank = 2 }, 1);
        Assert.Contains("merge them before", Fault(adapted, Options), StringComparison.Ordinal);

        void Refused(string said, TrainingOptions options) => Assert.Equal(said, Fault(TinyLlama.Create(), options));
        string Fault(DecoderModel model, TrainingOptions options) => Assert.Throws<CoppiceException>(() => new Trainer(model, Windows(), options, pool)).Message;
    }
}
