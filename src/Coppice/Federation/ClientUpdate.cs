using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Federation;

/// <summary>The control part of client to server: whose update follows, how it is encoded, and the only numbers about its text that leave a client.</summary>
/// <param name="Samples">Windows in the client's text: its weight in the average.</param>
/// <param name="LossBefore">Mean nats a token of the model received, over the task's evaluation windows.</param>
/// <param name="LossAfter">The same windows after the local steps.</param>
sealed record ClientUpdate(string Format, string Run, int Round, string Client, string Codec, int Samples, double LossBefore, double LossAfter)
{
    public const string CurrentFormat = "coppice.update.1";

    /// <summary>Takes a message apart and checks that it answers the task of <paramref name="client"/> in this round.</summary>
    public static ClientUpdate Read(string name, ReadOnlyMemory<byte> message, string run, int round, string client, string codec, out ReadOnlyMemory<byte> tensors) =>
        Message.Read(name, message, FederationJson.Default.ClientUpdate, out tensors).Checked(name, run, round, client, codec);

    /// <summary>The same of a message in a file.</summary>
    public static ClientUpdate Open(BinaryFile message, string run, int round, string client, string codec, out BinaryFile tensors) =>
        Message.Open(message, FederationJson.Default.ClientUpdate, out tensors).Checked(message.Path, run, round, client, codec);

    ClientUpdate Checked(string name, string run, int round, string client, string codec)
    {
        Check("format", Format, CurrentFormat);
        Check("run", Run, run);
        Check("round", Round, round);
        Check("client", Client, client);
        Check("codec", Codec, codec);
        if (Samples < 1)
            throw FormatError.At(name, $"samples is {Samples}, wanted 1 or more");
        if (!(LossBefore >= 0 && double.IsFinite(LossBefore) && LossAfter >= 0 && double.IsFinite(LossAfter)))
            throw FormatError.At(name, $"losses are {LossBefore} and {LossAfter}, wanted nats of 0 or more");
        return this;

        void Check<T>(string field, T found, T wanted)
        {
            if (!EqualityComparer<T>.Default.Equals(found, wanted))
                throw FormatError.At(name, $"{field} is '{found}', wanted '{wanted}'");
        }
    }
}
