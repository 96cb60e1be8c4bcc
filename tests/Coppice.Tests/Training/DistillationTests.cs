using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tests.Models;
using Coppice.Training;

namespace Coppice.Tests.Training;

public sealed class DistillationTests : IDisposable
{
    static readonly TrainingOptions Options = new() { Steps = 60, BatchSize = 3, ContextLength = 8, WarmupSteps = 2, LearningRate = 5e-3, Distillation = new DistillationOptions { Temperature = 1, Share = 1 } };

    readonly WorkerPool pool = new(2);

    public void Dispose() => pool.Dispose();

    static TokenWindows Windows() => new([.. Enumerable.Range(0, 400).Select(i => i * i % 13 + i % 4)], Options.ContextLength, seed: 1);

    [Fact]
    public void A_student_comes_to_answer_as_its_teacher_does()
    {
        DecoderModel student = TinyLlama.Create(seed: 2), teacher = TinyLlama.Create(seed: 1, layers: 3);
        Trainer trainer = new(student, Windows(), Options, pool, teacher);
        double[] losses = [.. Enumerable.Range(0, Options.Steps).Select(_ => trainer.Step().Loss)];
        Assert.True(losses[^5..].Average() < losses[..5].Average() / 2, $"{losses[..5].Average()} -> {losses[^5..].Average()}");
    }

    [Fact]
    public void A_model_that_is_its_own_teacher_stands_still_where_soft_targets_alone_count()
    {
        DecoderModel model = TinyLlama.Create();
        StepResult first = new Trainer(model, Windows(), Options, pool, TinyLlama.Create()).Step();
        Assert.Equal(0, first.Loss, 1e-5);
        Assert.Equal(0, first.GradientNorm, 1e-4);
    }

    [Fact]
    public void The_teacher_does_not_change_and_without_a_share_does_not_matter()
    {
        DecoderModel teacher = TinyLlama.Create(seed: 3), with = TinyLlama.Create(), without = TinyLlama.Create();
        Dictionary<string, double[]> before = TinyLlama.Parameters(teacher);
        Trainer taught = new(with, Windows(), Options with { Distillation = new DistillationOptions { Share = 0 } }, pool, teacher), alone = new(without, Windows(), Options, pool);
        for (int i = 0; i < 3; i++)
            Assert.Equal(alone.Step().Loss, taught.Step().Loss, 1e-5);
        Assert.All(TinyLlama.Parameters(teacher), part => Assert.Equal(before[part.Key], part.Value));
    }

    [Fact]
    public void A_teacher_of_another_vocabulary_is_refused()
    {
        DecoderModel teacher = Initialization.Random(TinyLlama.Config with { VocabularySize = 18 }, 1);
        Assert.Contains("18 tokens and the model 17", Assert.Throws<CoppiceException>(() => new Trainer(TinyLlama.Create(), Windows(), Options, pool, teacher)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_step_with_a_teacher_allocates_next_to_nothing()
    {
        using WorkerPool alone = new(1);
        Trainer trainer = new(TinyLlama.Create(), Windows(), Options, alone, TinyLlama.Create(seed: 2));
        trainer.Step();
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 5; i++)
            trainer.Step();
        long bytes = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.True(bytes < 10_000, $"{bytes} bytes in five steps");
    }
}
