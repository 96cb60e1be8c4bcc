namespace Coppice.Text.ChatTemplates;
/// <summary>x</summary>
public sealed class ChatTemplate { internal ChatTemplate(string source, string? bos, string? eos) { _ = (source, bos, eos); } }
