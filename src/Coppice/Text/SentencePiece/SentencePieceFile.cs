using Coppice.Tensors;
using Coppice.Text.Normalizers;

namespace Coppice.Text.SentencePiece;

/// <summary>SentencePiece's <c>.model</c>: its protocol buffer ModelProto, of which pieces (1), trainer (2) and normalizer (3) decide how a text is encoded.</summary>
static class SentencePieceFile
{
    public const string DefaultFileName = "tokenizer.model";

    /// <summary>The steps of a file.</summary>
    /// <exception cref="CoppiceException">It is damaged, or of a model other than Unigram and BPE.</exception>
    public static TokenizerParts Read(byte[] file)
    {
        List<string> pieces = [];
        List<float> scores = [];
        List<PieceKind> kinds = [];
        Trainer trainer = new();
        SentencePieceNormalizer normalizer = new(null, AddsPrefix: true, RemovesExtraSpaces: true, EscapesSpaces: true);
        foreach (ProtoField field in ProtoField.Read(file, "the model"))
            switch (field.Number)
            {
                case 1:
                    (string piece, float score, PieceKind kind) = Piece(field.Message($"piece {pieces.Count}"));
                    pieces.Add(piece);
                    scores.Add(score);
                    kinds.Add(kind);
                    break;
                case 2:
                    trainer = Trainer.Read(field.Message("trainer_spec"));
                    break;
                case 3:
                    normalizer = Normalizer(field.Message("normalizer_spec"));
                    break;
            }
        if (pieces.Count == 0)
            throw new CoppiceException("has no pieces; is it no SentencePiece model?");
        if (trainer.Model is not (1 or 2))
            throw new CoppiceException($"trainer_spec.model_type is {trainer.Model}, wanted 1 (Unigram) or 2 (BPE)");
        if (trainer.IsSuffix)
            throw new CoppiceException("trainer_spec.treat_whitespace_as_suffix is true, which is not supported");
        return new SentencePieceVocabulary
        {
            Model = (SentencePieceModel)trainer.Model,
            Pieces = pieces,
            Scores = scores,
            Kinds = kinds,
            Normalizer = normalizer,
            Bos = Id(trainer.Bos),
            Eos = Id(trainer.Eos),
        }.ToParts() with
        { Normalizer = normalizer, PreTokenizer = null, Files = [(DefaultFileName, file)] };

        int? Id(long id) => id < 0 || id >= pieces.Count ? null : (int)id;
    }

    static (string, float, PieceKind) Piece(IEnumerable<ProtoField> fields)
    {
        (string piece, float score, long kind) = ("", 0, 1);
        foreach (ProtoField field in fields)
            switch (field.Number)
            {
                case 1:
                    piece = field.Text();
                    break;
                case 2:
                    score = field.Single();
                    break;
                case 3:
                    kind = field.Value;
                    break;
            }
        return kind is >= 1 and <= 6 ? (piece, score, (PieceKind)kind) : throw new CoppiceException($"piece '{piece}' has type {kind}, wanted 1 to 6");
    }

    static SentencePieceNormalizer Normalizer(IEnumerable<ProtoField> fields)
    {
        SentencePieceNormalizer normalizer = new(null, AddsPrefix: true, RemovesExtraSpaces: true, EscapesSpaces: true);
        foreach (ProtoField field in fields)
            normalizer = field.Number switch
            {
                2 when field.Bytes.Length > 0 => normalizer with { Map = new PrecompiledMap(field.Bytes.Span) },
                3 => normalizer with { AddsPrefix = field.Value != 0 },
                4 => normalizer with { RemovesExtraSpaces = field.Value != 0 },
                5 => normalizer with { EscapesSpaces = field.Value != 0 },
                _ => normalizer,
            };
        return normalizer;
    }

    // The fields of TrainerSpec that matter after training.
    sealed record Trainer(long Model = 1, bool IsSuffix = false, long Bos = 1, long Eos = 2)
    {
        public static Trainer Read(IEnumerable<ProtoField> fields)
        {
            Trainer trainer = new();
            foreach (ProtoField field in fields)
                trainer = field.Number switch
                {
                    3 => trainer with { Model = field.Value },
                    24 => trainer with { IsSuffix = field.Value != 0 },
                    41 => trainer with { Bos = (int)field.Value },
                    42 => trainer with { Eos = (int)field.Value },
                    _ => trainer,
                };
            return trainer;
        }
    }
}
