namespace Coppice.Text.PostProcessors;

/// <summary>[CLS] a [SEP] of BERT, and b [SEP] of type 1 behind it; &lt;s> a &lt;/s> of RoBERTa, and &lt;/s> b &lt;/s> behind it, all of type 0.</summary>
sealed class ClassifierTokens(int start, int separator, int pairSeparators) : PostProcessor
{
    /// <summary>Reads "cls" and "sep": a token and its id each.</summary>
    public static ClassifierTokens From(JsonPart part, int pairSeparators) => new(Id(part, "cls"), Id(part, "sep"), pairSeparators);

    public override TokenSequence Apply(TokenSequence first, TokenSequence? second)
    {
        bool isRoberta = pairSeparators == 2;
        TokenSequence one = Join(TokenSequence.Of([start], 0), first, TokenSequence.Of([separator], 0));
        if (second is null)
            return one;
        int type = isRoberta ? 0 : 1;
        return Join(one, TokenSequence.Of(isRoberta ? [separator] : [], type), TokenSequence.Of(second.Ids, type), TokenSequence.Of([separator], type));
    }

    static int Id(JsonPart part, string name)
    {
        JsonPart[] pair = [.. part.Get(name).Items()];
        return pair.Length == 2 ? pair[1].Integer() : throw part.Get(name).Error("is no token with its id");
    }
}
