using Coppice.Tensors;

namespace Coppice.Formats.PyTorch;

/// <summary>
/// Python's pickle, protocols 2 to 5, as far as state dicts use it: a machine with a stack and a memo that builds plain values, and tensors and storages through <see cref="TorchGlobals"/>. Every other name is refused when it is
/// met, so that nothing in a file is ever run. What a file may ask for is bounded by its own length and by <see cref="MaxOpcodes"/>; values are never walked in depth.
/// </summary>
sealed class Pickle
{
    /// <summary>A tensor takes about 40, so this is a hundred thousand tensors.</summary>
    public const int MaxOpcodes = 4_000_000;

    /// <summary>Bytes of one pickle; the numbers of tensors lie outside.</summary>
    public const int MaxBytes = 100_000_000;

    readonly PickleBytesReader bytes;
    readonly List<object?> stack = [];
    readonly List<int> marks = [];
    readonly Dictionary<uint, object?> memo = [];

    Pickle(PickleBytesReader bytes) => this.bytes = bytes;

    /// <summary>Reads one value from byte <paramref name="begin"/> of a file on.</summary>
    /// <param name="file">The file.</param>
    /// <param name="begin">Where the pickle begins.</param>
    /// <param name="end">Where it ends at the latest.</param>
    /// <param name="what">Its name in messages: <c>data.pkl</c>.</param>
    /// <param name="next">Where it ended.</param>
    /// <exception cref="CoppiceException">It is damaged, or holds what is not read.</exception>
    public static object? Read(BinaryFile file, long begin, long end, string what, out long next)
    {
        PickleBytesReader bytes = new(file, begin, Math.Min(end, begin + MaxBytes), what);
        object? value = new Pickle(bytes).Run();
        next = bytes.Position;
        return value;
    }

    object? Run()
    {
        for (int count = 0; count < MaxOpcodes; count++)
        {
            byte opcode = bytes.Byte();
            if (opcode == '.')
                return stack.Count == 1 && marks.Count == 0 ? stack[0] : throw bytes.Error($"stops with {stack.Count} values, wanted one");
            Step(opcode);
        }
        throw bytes.Error($"has more than {MaxOpcodes:N0} opcodes");
    }

    void Step(byte opcode)
    {
        switch (opcode)
        {
            case 0x80:
                byte protocol = bytes.Byte();
                if (protocol is < 2 or > 5)
                    throw bytes.Error($"is of protocol {protocol}, wanted 2 to 5");
                break;
            case 0x95: // FRAME: a hint for readers.
                bytes.UInt64();
                break;
            case (byte)'N': stack.Add(null); break;
            case 0x88: stack.Add(true); break;
            case 0x89: stack.Add(false); break;
            case (byte)'J': stack.Add((long)bytes.Int32()); break;
            case (byte)'K': stack.Add((long)bytes.Byte()); break;
            case (byte)'M': stack.Add((long)bytes.UInt16()); break;
            case 0x8A: stack.Add(bytes.Long(bytes.Byte())); break;
            case 0x8B: stack.Add(bytes.Long(bytes.UInt32())); break;
            case (byte)'G': stack.Add(bytes.Double()); break;
            case (byte)'X' or (byte)'T': stack.Add(bytes.Text(bytes.UInt32())); break;
            case 0x8C or (byte)'U': stack.Add(bytes.Text(bytes.Byte())); break;
            case 0x8D: stack.Add(bytes.Text(bytes.UInt64())); break;
            case (byte)'C': Opaque(bytes.Byte()); break;
            case (byte)'B': Opaque(bytes.UInt32()); break;
            case 0x8E or 0x96: Opaque(bytes.UInt64()); break;
            case (byte)'(': marks.Add(stack.Count); break;
            case (byte)'0': Pop(); break;
            case (byte)'1': PopMarked(); break;
            case (byte)'2': stack.Add(Peek()); break;
            case (byte)'}': stack.Add(new PickleDict()); break;
            case (byte)']' or 0x8F: stack.Add(new PickleList()); break;
            case (byte)')': stack.Add(new PickleTuple([])); break;
            case 0x85: PushTuple(1); break;
            case 0x86: PushTuple(2); break;
            case 0x87: PushTuple(3); break;
            case (byte)'t': stack.Add(new PickleTuple(PopMarked())); break;
            case (byte)'l' or 0x91: AppendTo(new PickleList(), PopMarked(), push: stack); break;
            case (byte)'d': SetItems(new PickleDict(), PopMarked(), push: stack); break;
            case (byte)'a': AppendTo(Top<PickleList>(1), [Pop()]); break;
            case (byte)'e' or 0x90:
                object?[] appended = PopMarked();
                AppendTo(Top<PickleList>(0), appended);
                break;
            case (byte)'s':
                object? value = Pop(), key = Pop();
                SetItems(Top<PickleDict>(0), [key, value]);
                break;
            case (byte)'u':
                object?[] set = PopMarked();
                SetItems(Top<PickleDict>(0), set);
                break;
            case (byte)'q': memo[bytes.Byte()] = Peek(); break;
            case (byte)'r': memo[bytes.UInt32()] = Peek(); break;
            case 0x94: memo[(uint)memo.Count] = Peek(); break;
            case (byte)'h': Recall(bytes.Byte()); break;
            case (byte)'j': Recall(bytes.UInt32()); break;
            case (byte)'c': stack.Add(TorchGlobals.Find(bytes.Line(), bytes.Line(), bytes)); break;
            case 0x93:
                string name = Pop<string>("a name"), module = Pop<string>("a module");
                stack.Add(TorchGlobals.Find(module, name, bytes));
                break;
            case (byte)'R':
                PickleTuple arguments = Pop<PickleTuple>("arguments");
                stack.Add(TorchGlobals.Call(Pop<TorchGlobal>("a function"), arguments.Items, bytes));
                break;
            case (byte)'b': // The attributes of a state dict, its modules' versions, are of no use here.
                Pop();
                if (Peek() is not PickleDict)
                    throw bytes.Error("sets attributes of something that is no dict, which is not read");
                break;
            case (byte)'Q': stack.Add(TorchGlobals.Storage(Pop(), bytes)); break;
            default: throw bytes.Error($"has the opcode 0x{opcode:X2}, which state dicts do not use");
        }
    }

    void Opaque(ulong length)
    {
        bytes.Skip(length);
        stack.Add(new PickleBytes((long)length));
    }

    // Nothing below a mark can be taken before the mark is.
    object? Pop()
    {
        object? value = Peek();
        stack.RemoveAt(stack.Count - 1);
        return value;
    }

    T Pop<T>(string wanted) => Pop() is T value ? value : throw bytes.Error($"lacks {wanted} where it needs one");

    object? Peek() => stack.Count > Floor ? stack[^1] : throw bytes.Error("takes a value from an empty stack");

    int Floor => marks.Count == 0 ? 0 : marks[^1];

    T Top<T>(int above) where T : class => stack.Count - above > Floor && stack[^(above + 1)] is T value ? value : throw bytes.Error("adds an item to something that takes none");

    object?[] PopMarked()
    {
        if (marks.Count == 0)
            throw bytes.Error("takes values from a mark that is not there");
        int mark = marks[^1];
        marks.RemoveAt(marks.Count - 1);
        object?[] items = [.. stack[mark..]];
        stack.RemoveRange(mark, stack.Count - mark);
        return items;
    }

    void PushTuple(int count)
    {
        object?[] items = new object?[count];
        for (int i = count - 1; i >= 0; i--)
            items[i] = Pop();
        stack.Add(new PickleTuple(items));
    }

    static void AppendTo(PickleList list, object?[] items, List<object?>? push = null)
    {
        list.Items.AddRange(items);
        push?.Add(list);
    }

    void SetItems(PickleDict dict, object?[] items, List<object?>? push = null)
    {
        if (items.Length % 2 != 0)
            throw bytes.Error("has a key without a value");
        for (int i = 0; i < items.Length; i += 2)
            dict.Items.Add((items[i], items[i + 1]));
        push?.Add(dict);
    }

    void Recall(uint index) => stack.Add(memo.TryGetValue(index, out object? value) ? value : throw bytes.Error($"recalls value {index}, which it never kept"));
}
