namespace Coppice.Text.SentencePiece;

/// <summary>What a piece of a SentencePiece vocabulary is for; the numbers are those of its file and of GGUF.</summary>
enum PieceKind
{
    Normal = 1,
    Unknown = 2,
    Control = 3,
    UserDefined = 4,
    Unused = 5,
    Byte = 6,
}
