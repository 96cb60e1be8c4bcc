using Coppice.Models;
using Coppice.Training;

namespace Coppice.Compression;

/// <summary>Those who hold text that a recipe may not see: they tell sums over it, and train on it.</summary>
public interface ITextHolders
{
    /// <summary>Names them and how they are asked; another line is another run.</summary>
    string Signature { get; }

    /// <summary>What enters a model's matrices, over all texts together.</summary>
    IInputSource Inputs(Model model);

    /// <summary>Trains a model in place and stores its matrices as training leaves them: sparsely where pruned, as integers where it trained as such.</summary>
    /// <param name="model">What trains.</param>
    /// <param name="options">How; steps and warm-up are counted for one text and are the holders' to spread.</param>
    /// <param name="tokens">How many tokens all holders go through together.</param>
    /// <param name="teacher">A model whose outputs count, or null.</param>
    /// <param name="progress">Told how much is done, 0 to 1.</param>
    /// <param name="cancel">Stops it.</param>
    /// <returns>The mean loss at the first and after the last round, and how it was done in a few words.</returns>
    (double First, double Last, string How) Train(Model model, TrainingOptions options, int tokens, Model? teacher, IProgress<double>? progress, CancellationToken cancel);
}
