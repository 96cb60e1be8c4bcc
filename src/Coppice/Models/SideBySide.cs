using Coppice.Text;

namespace Coppice.Models;

/// <summary>Reads a model and its tokenizer at once: the one is mostly reading, the other all computing, so that they take the longer one's time.</summary>
static class SideBySide
{
    /// <summary>Both, once both are done. What is wrong with the model is said first.</summary>
    public static (Model Model, Tokenizer Tokenizer) Read(Func<Model> model, Func<Tokenizer> tokenizer)
    {
        Task<Tokenizer> other = Task.Run(tokenizer);
        try
        {
            return (model(), other.GetAwaiter().GetResult());
        }
        finally
        {
            ((IAsyncResult)other).AsyncWaitHandle.WaitOne();
        }
    }
}
