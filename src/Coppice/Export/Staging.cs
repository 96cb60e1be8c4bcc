using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Export;

/// <summary>Where an output is built until it is whole: in the folder <c>OUT.journal</c>, beside its place and on its file system.</summary>
sealed class Staging
{
    readonly string path, folder;
    readonly bool isFolder;

    /// <summary>Throws before any work if the output could not take its place later.</summary>
    public Staging(string output, bool isFolder)
    {
        path = Path.TrimEndingDirectorySeparator(Path.GetFullPath(output));
        (folder, this.isFolder) = (path + ".journal", isFolder);
        if (isFolder)
            AtomicFolder.CheckTarget(path, ExistingFolder.ReplaceOurs);
        else if (Directory.Exists(path))
            throw new CoppiceException($"{output}: is a folder, wanted a file to write");
    }

    /// <summary>The output until it is published.</summary>
    public string Built => Path.Combine(folder, Path.GetFileName(path));

    /// <summary>The journal of a run of this <paramref name="signature"/>; what another run left is taken away.</summary>
    public WriteJournal Open(string signature)
    {
        string file = Path.Combine(folder, "tensors.txt");
        try
        {
            Directory.CreateDirectory(folder);
            WriteJournal journal = WriteJournal.Open(file, signature);
            if (journal.Resumed == 0)
                Remove();
            if (isFolder)
            {
                Directory.CreateDirectory(Built);
                File.WriteAllBytes(Path.Combine(Built, AtomicFolder.Marker), []);
            }
            return journal;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new CoppiceException($"{folder}: could not be used as a journal: {error.Message}", error);
        }
    }

    /// <summary>Moves the output to its place and ends the journal.</summary>
    public void Publish()
    {
        if (isFolder)
            AtomicFolder.Move(Built, path, ExistingFolder.ReplaceOurs);
        else
            File.Move(Built, path, overwrite: true);
        Discard();
    }

    /// <summary>Takes away everything that was begun.</summary>
    public void Discard()
    {
        if (Directory.Exists(folder))
            Directory.Delete(folder, recursive: true);
    }

    void Remove()
    {
        foreach (string file in Directory.GetFiles(folder, Path.GetFileName(path) + "*"))
            File.Delete(file);
        if (Directory.Exists(Built))
            Directory.Delete(Built, recursive: true);
    }
}
